"""The findings as a structured report, TID 1500 (PS3.16), that points at the segments it measures.

One measurement group per vertebra and per lesion candidate. The report is preliminary and unverified by design: a
device wrote it and nobody has signed it. No score of a guideline is written as a coded finding before its own module
can state how it was obtained.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import highdicom as hd
from pydicom.sr.coding import Code

import spondyl
from spondyl.io import codes
from spondyl.io.reference import DEVICE_SERIAL_NUMBER, MANUFACTURER, MODEL, ReferenceSeries, equipment
from spondyl.io.seg import lesion_tracking_id, vertebra_tracking_id

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from spondyl.core import Case, Lesion, Measurement, Vertebra

FINDINGS_SERIES_NUMBER = 9103

DEVICE_UID = hd.UID.from_uuid("f2b0c3b4-3c55-5f0e-8f1e-7d6f6a0f7c11")
"""Identifies the software as an observer (TID 1004); one for all copies of it, as it has no hardware of its own."""

CODE_VALUE_LENGTH = 16
"""Longest short code value (PS3.5 section 6.2, VR SH)."""


def findings_report(
    case: Case,
    reference: ReferenceSeries,
    *,
    vertebrae: Dataset | None,
    lesions: Dataset | None,
    predecessor: Dataset | None = None,
) -> hd.sr.Comprehensive3DSR | None:
    """Give the measurement report of a case.

    Parameters
    ----------
    case : Case
        With vertebrae and lesions.
    reference : ReferenceSeries
        The series that the segmentations were drawn on.
    vertebrae, lesions : Dataset or None
        The segmentations written for the same case; measured segments are found in them by their tracking
        identifiers. A finding without a segment is reported without a region.
    predecessor : Dataset, optional
        The report of an earlier analysis of the same study, which this one takes the place of.

    Returns
    -------
    highdicom.sr.Comprehensive3DSR or None
        None where there is nothing to measure: a report without measurements is not allowed.

    References
    ----------
    DICOM PS3.16 TID 1500, TID 1411, TID 1501; PS3.3 section A.35.13.
    """
    segments = {**_segments(vertebrae), **_segments(lesions)}
    groups = [_vertebra_group(v, segments, reference) for v in case.vertebrae]
    groups += [_lesion_group(lesion, segments, reference) for lesion in case.lesions]
    if not groups:
        return None
    evidence = reference.evidence()
    content = hd.sr.MeasurementReport(
        observation_context=_observation_context(),
        procedure_reported=codes.MRI_PROCEDURE,
        imaging_measurements=groups,
    )
    parts = content[0].ContentSequence
    before = next(i for i, part in enumerate(parts) if part.name == codes.IMAGING_MEASUREMENTS)
    parts.insert(before, _image_library(evidence))
    # highdicom copies whatever content it is given, to its depth, and searches it twice: so it is given the root alone.
    content[0].ContentSequence = []
    report = hd.sr.Comprehensive3DSR(
        evidence=[*evidence, *(s for s in (vertebrae, lesions) if s is not None)],
        content=content,
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=None if predecessor is None else [predecessor],
        coding_schemes=codes.coding_schemes(),
        **equipment(series_number=FINDINGS_SERIES_NUMBER, description="Spondyl findings"),
    )
    report.ContentSequence = parts
    return report


def _segments(segmentation: Dataset | None) -> dict[str, tuple[Dataset, Dataset]]:
    """Give object and segment by tracking identifier."""
    if segmentation is None:
        return {}
    # A label map also describes its background, which nobody tracks.
    return {str(s.TrackingID): (segmentation, s) for s in segmentation.SegmentSequence if "TrackingID" in s}


def _observation_context() -> hd.sr.ObservationContext:
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(
            observer_type=codes.concept(codes.DEVICE),
            observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
                uid=DEVICE_UID,
                name=f"{MODEL}: {spondyl.RESEARCH_USE_ONLY}",
                manufacturer_name=MANUFACTURER,
                model_name=MODEL,
                serial_number=DEVICE_SERIAL_NUMBER,
            ),
        )
    )


def _image_library(evidence: list[Dataset]) -> hd.sr.ContainerContentItem:
    """List the source images (TID 1600), what they share said once: it is the slowest part of a report otherwise."""
    shared = [
        item
        for item in hd.sr.ImageLibraryEntryDescriptors(evidence[0])
        if not item.name.meaning.startswith("Image Position")
    ]
    library, group = (
        hd.sr.ContainerContentItem(name=codes.concept(code), relationship_type="CONTAINS")
        for code in (codes.IMAGE_LIBRARY, codes.IMAGE_LIBRARY_GROUP)
    )
    images = [
        hd.sr.ImageContentItem(
            name=codes.concept(codes.SOURCE),
            referenced_sop_class_uid=str(image.SOPClassUID),
            referenced_sop_instance_uid=str(image.SOPInstanceUID),
            relationship_type="CONTAINS",
        )
        for image in evidence
    ]
    group.ContentSequence = hd.sr.ContentSequence([*shared, *images])
    library.ContentSequence = hd.sr.ContentSequence([group])
    return library


def _group(
    tracking_id: str, segments: dict[str, tuple[Dataset, Dataset]], source_uid: str, parts: dict[str, Any]
) -> Any:
    """Make a measurement group, on its segment where one was written (TID 1411), else without (TID 1501)."""
    parts["algorithm_id"] = hd.sr.AlgorithmIdentification(name=MODEL, version=spondyl.__version__)
    if tracking_id not in segments:
        tracking = hd.sr.TrackingIdentifier(uid=hd.UID(), identifier=tracking_id)
        return hd.sr.MeasurementsAndQualitativeEvaluations(tracking_identifier=tracking, **parts)
    segmentation, segment = segments[tracking_id]
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=str(segment.TrackingUID), identifier=tracking_id),
        referenced_segment=hd.sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=int(segment.SegmentNumber),
            source_series=hd.sr.SourceSeriesForSegmentation(source_uid),
        ),
        **parts,
    )


def _vertebra_group(
    vertebra: Vertebra, segments: dict[str, tuple[Dataset, Dataset]], reference: ReferenceSeries
) -> Any:
    if vertebra.level is None:
        certainty = codes.LEVEL_UNKNOWN
    else:
        certainty = codes.LEVEL_UNCERTAIN if vertebra.level_uncertain else codes.LEVEL_CERTAIN
    code = codes.vertebra_code(vertebra.level)
    parts = {
        "finding_category": codes.ANATOMICAL_STRUCTURE,
        "finding_type": code,
        "finding_sites": [hd.sr.FindingSite(anatomic_location=code)],
        "measurements": [
            _number(codes.VOLUME, vertebra.volume_mm3, codes.CUBIC_MILLIMETER),
            _number(codes.LEVEL_PROBABILITY, vertebra.level_probability, codes.NO_UNITS),
            *_class_probabilities(vertebra),
        ],
        "qualitative_evaluations": [hd.sr.QualitativeEvaluation(codes.LEVEL_CERTAINTY, certainty), *_opinion(vertebra)],
    }
    return _group(vertebra_tracking_id(vertebra), segments, reference.series_at(vertebra.centroid_lps_mm), parts)


def _lesion_group(lesion: Lesion, segments: dict[str, tuple[Dataset, Dataset]], reference: ReferenceSeries) -> Any:
    site = codes.vertebra_code(lesion.level) if lesion.vertebra_instance is not None else codes.SPINE
    numbers = [
        _number(codes.VOLUME, lesion.volume_mm3, codes.CUBIC_MILLIMETER),
        _number(codes.LONG_AXIS, lesion.longest_diameter_mm, codes.MILLIMETER),
        *_class_probabilities(lesion),
        _number(codes.CERTAINTY_OF_FINDING, 100 * lesion.confidence, codes.PERCENT),
        _number(codes.CLASSIFICATION_UNCERTAINTY, lesion.uncertainty, codes.NO_UNITS),
        *(_further(m) for m in lesion.measurements if m.value is not None),
    ]
    parts: dict[str, Any] = {
        "finding_category": codes.ABNORMAL_STRUCTURE,
        "finding_type": codes.LESION,
        "finding_sites": [hd.sr.FindingSite(anatomic_location=site)],
        "measurements": numbers,
    }
    opinion = _opinion(lesion)
    if opinion:
        parts["qualitative_evaluations"] = opinion
    return _group(lesion_tracking_id(lesion), segments, reference.series_at(lesion.centroid_lps_mm), parts)


def _class_probabilities(finding: Vertebra | Lesion) -> list[hd.sr.Measurement]:
    return [
        _number(code, finding.probabilities[name], codes.NO_UNITS)
        for name, code in codes.CLASS_PROBABILITIES.items()
        if name in finding.probabilities
    ]


def _opinion(finding: Vertebra | Lesion) -> list[hd.sr.QualitativeEvaluation]:
    """Write class and subtype where they were judged; the class as indeterminate where it is not one alone."""
    if finding.subtype is None:
        return []
    certain = len(finding.prediction_set) == 1
    name = codes.FINDING_CLASSES[finding.prediction_set[0]] if certain else codes.INDETERMINATE
    return [
        hd.sr.QualitativeEvaluation(codes.FINDING_CLASS, name),
        hd.sr.QualitativeEvaluation(codes.FINDING_SUBTYPE, codes.subtype_code(finding.subtype)),
    ]


def _number(name: Code, value: float, unit: Code) -> hd.sr.Measurement:
    # Seven digits are more than any of these measurements has, and always fit a decimal string (16 characters).
    return hd.sr.Measurement(name=name, value=float(f"{float(value):.7g}"), unit=unit)


def _further(measurement: Measurement) -> hd.sr.Measurement:
    """Write a measurement that has no code of its own under its name, in our scheme."""
    value = re.sub(r"[^A-Z0-9]+", "_", measurement.name.upper()).strip("_")[:CODE_VALUE_LENGTH]
    name = Code(value, codes.SCHEME, measurement.name[:64])
    unit = Code(measurement.unit, "UCUM", measurement.unit) if measurement.unit else codes.NO_UNITS
    return _number(name, float(measurement.value or 0.0), unit)
