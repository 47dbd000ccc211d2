"""Vertebrae and lesions as DICOM Segmentations (PS3.3 section A.51), and segmentations of anybody read back.

BINARY is the default because every viewer shows it. It may overlap, so the canal includes the cord and the sacrum its
first body, as an anatomist means them. LABELMAP may not; there each voxel keeps only the innermost structure (cord
before canal, first sacral body before sacrum), and the labels say so.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from scipy import ndimage

import spondyl
from spondyl.core import Lesion, Structure
from spondyl.io import codes
from spondyl.io.reference import MODEL, ReferenceSeries, equipment
from spondyl.io.seg_frames import PackedSegment, altered
from spondyl.io.seg_reader import SegmentInfo, SegmentMask, read_segmentation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from pydicom.sr.coding import Code

    from spondyl.core import Case, Vertebra

__all__ = [
    "Segment",
    "SegmentInfo",
    "SegmentMask",
    "lesion_segmentation",
    "lesion_tracking_id",
    "lesions_shown",
    "read_segmentation",
    "vertebra_segmentation",
    "vertebra_tracking_id",
    "vertebrae_shown",
]

SegmentationKind = Literal["BINARY", "LABELMAP"]

Box = tuple[slice, slice, slice]

VERTEBRAE_SERIES_NUMBER = 9101
LESIONS_SERIES_NUMBER = 9102
"""Above the numbers that scanners give. Chosen by us."""

GOLDEN_ANGLE_DEG = 137.508
"""Steps of this angle around the color circle keep the hues of neighboring vertebrae far apart."""


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment to be written.

    Parameters
    ----------
    label : str
        Its name, at most 64 characters.
    box : tuple of slice
        The part of the reference image that holds it.
    mask : ndarray of bool, shape of the box
        Its voxels.
    category, kind : Code
        What it is, as segmented property category and type.
    region : Code
        Where it lies.
    color_lab : tuple of float
        Recommended color, CIE L*a*b*.
    modifier : Code, optional
        Makes `kind` narrower.
    description : str
        Further words, at most 1024 characters.
    """

    label: str
    box: Box
    mask: NDArray[np.bool_]
    category: Code
    kind: Code
    region: Code
    color_lab: tuple[float, float, float]
    modifier: Code | None = None
    description: str = ""


def vertebra_segmentation(
    case: Case,
    reference: ReferenceSeries,
    *,
    kind: SegmentationKind = "BINARY",
    series_number: int = VERTEBRAE_SERIES_NUMBER,
    content: str = "Vertebrae",
    known: Mapping[str, Dataset] | None = None,
) -> Dataset | None:
    """Give the segmentation of vertebrae, discs, canal, cord and sacrum.

    Parameters
    ----------
    case : Case
        With the label maps ``"structures"`` and ``"vertebrae"``, and ``"discs"`` where there are any.
    reference : ReferenceSeries
        The series that the result is drawn on.
    kind : str, optional
        ``"BINARY"``, or ``"LABELMAP"`` without overlap.
    series_number : int, optional
        Of the new series.
    content : str, optional
        Its description.
    known : mapping of str to Dataset, optional
        Segments of the same case on another series by their tracking identifiers, which are described as there.

    Returns
    -------
    Dataset or None
        None where nothing is segmented: an empty segmentation is not allowed.
    """
    planes = _Planes(reference, kind, known)
    planes.add(_spine_segments(case, overlapping=kind == "BINARY"))
    return planes.write(series_number=series_number, content=content)


def lesion_segmentation(
    case: Case,
    reference: ReferenceSeries,
    *,
    kind: SegmentationKind = "BINARY",
    series_number: int = LESIONS_SERIES_NUMBER,
    content: str = "Lesion candidates",
    known: Mapping[str, Dataset] | None = None,
) -> Dataset | None:
    """Give the segmentation of lesion candidates.

    Parameters
    ----------
    case : Case
        With the label map ``"lesions"``.
    reference : ReferenceSeries
        The series that the result is drawn on.
    kind : str, optional
        ``"BINARY"`` or ``"LABELMAP"``.
    series_number : int, optional
        Of the new series.
    content : str, optional
        Its description.
    known : mapping of str to Dataset, optional
        Segments of the same case on another series by their tracking identifiers, which are described as there.

    Returns
    -------
    Dataset or None
        None where there is no lesion: an empty segmentation is not allowed.
    """
    planes = _Planes(reference, kind, known)
    planes.add(_lesion_segments(case))
    return planes.write(series_number=series_number, content=content)


def vertebrae_shown(case: Case) -> tuple[Any, ...]:
    """Say what the segmentation of vertebrae shows of a case; two cases that give the same are drawn alike.

    Parameters
    ----------
    case : Case
        Any case.

    Returns
    -------
    tuple
        To be compared; what classification adds later is not in it.
    """
    undecided: dict[str, Any] = {
        "probabilities": {},
        "subtype": None,
        "subtype_probabilities": {},
        "prediction_set": (),
        "uncertainty": None,
    }
    labels = tuple(case.labels.get(name) for name in ("structures", "vertebrae", "discs"))
    return (case.reference, labels, tuple(replace(v, **undecided) for v in case.vertebrae))


def lesions_shown(case: Case) -> tuple[Any, ...]:
    """Say what the segmentation of lesion candidates shows of a case; two cases that give the same are drawn alike.

    Parameters
    ----------
    case : Case
        Any case.

    Returns
    -------
    tuple
        To be compared; what is measured later is not in it.
    """
    names = [f.name for f in fields(Lesion) if f.name not in ("measurements", "features")]
    told = tuple(tuple(getattr(lesion, name) for name in names) for lesion in case.lesions)
    return (case.reference, case.labels.get("lesions"), told)


def vertebra_tracking_id(vertebra: Vertebra) -> str:
    """Name a vertebral body the same way in segmentation and report.

    Parameters
    ----------
    vertebra : Vertebra
        Any vertebra of a case.

    Returns
    -------
    str
        Such as ``"L1 vertebral body"``.
    """
    if vertebra.level is None:
        return f"vertebra {vertebra.instance} body (level unknown)"
    return f"{vertebra.level} vertebral body"


def lesion_tracking_id(lesion: Lesion) -> str:
    """Name a lesion candidate the same way in segmentation and report.

    Parameters
    ----------
    lesion : Lesion
        Any lesion of a case.

    Returns
    -------
    str
        Such as ``"lesion 1, L3"``.
    """
    where = lesion.level or ("level unknown" if lesion.vertebra_instance is not None else "outside bone")
    return f"lesion {lesion.label}, {where}"


class _Labels:
    """A label map, and where each label lies, so that one is looked at where it is alone."""

    def __init__(self, array: NDArray[np.integer[Any]]) -> None:
        self.array = array
        self.boxes: dict[int, Box] = {n: b for n, b in enumerate(ndimage.find_objects(array), 1) if b is not None}

    def within(self, *labels: int) -> tuple[Box, NDArray[np.bool_]]:
        """Give the box that holds some labels, and their voxels in it; an empty one where there are none."""
        boxes = [self.boxes[label] for label in labels if label in self.boxes]
        if not boxes:
            return NOWHERE, np.zeros((0, 0, 0), bool)
        x, y, z = (slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True))
        seen = self.array[x, y, z]
        return (x, y, z), np.logical_or.reduce([seen == label for label in labels])


NOWHERE: Box = (slice(0, 0), slice(0, 0), slice(0, 0))


def _spine_segments(case: Case, *, overlapping: bool) -> Iterator[Segment]:
    """Plan the segments from the label maps, in the order in which a reader expects them."""
    structures = _Labels(case.labels["structures"].array)
    no_vertebrae = np.zeros_like(structures.array)
    instances = _Labels(case.labels["vertebrae"].array if "vertebrae" in case.labels else no_vertebrae)
    claimed = []
    for vertebra in case.vertebrae:
        box, own = instances.within(vertebra.instance)
        seen = structures.array[box]
        own_body = own & ((seen == Structure.BODY) | (seen == Structure.CORTEX))
        if vertebra.level == "S1" or not own_body.any():
            own_body |= own & (seen == Structure.S1)
            claimed.append(vertebra.instance)
        yield _body_segment(vertebra, box, own_body)
        if (own_posterior := own & (seen == Structure.POSTERIOR)).any():
            yield _posterior_segment(vertebra, box, own_posterior)
    if not any(v.level == "S1" for v in case.vertebrae):
        box, first_sacral = structures.within(Structure.S1)
        unclaimed = box, first_sacral & ~np.isin(instances.array[box], claimed)
        code, doubt = codes.vertebra_code("S1"), "LEVEL UNCERTAIN, check before use"
        yield _structure("S1 vertebral body", unclaimed, code, (62, 14, 30), codes.VERTEBRAL_BODY, description=doubt)
    yield from _disc_segments(case)
    canal_label = "spinal canal" if overlapping else "spinal canal without cord"
    canal = (Structure.CANAL, Structure.CORD) if overlapping else (Structure.CANAL,)
    yield _structure(canal_label, structures.within(*canal), codes.VERTEBRAL_CANAL, (80, -20, -18))
    yield _structure("spinal cord", structures.within(Structure.CORD), codes.SPINAL_CORD, (88, -4, 72))
    sacrum_label = "sacrum" if overlapping else "sacrum without S1 body"
    sacrum = (Structure.SACRUM, Structure.S1) if overlapping else (Structure.SACRUM,)
    yield _structure(sacrum_label, structures.within(*sacrum), codes.SACRUM, (58, 12, 28))


def _body_segment(vertebra: Vertebra, box: Box, mask: NDArray[np.bool_]) -> Segment:
    words = [f"probability of the level {vertebra.level_probability:.2f}"] if vertebra.level else []
    if vertebra.level is None or vertebra.level_uncertain:
        words.insert(0, "LEVEL UNKNOWN" if vertebra.level is None else "LEVEL UNCERTAIN, check before use")
    if vertebra.at_edge:
        words.append("cut by the field of view")
    code = codes.vertebra_code(vertebra.level)
    return Segment(
        label=vertebra_tracking_id(vertebra),
        box=box,
        mask=mask,
        category=codes.ANATOMICAL_STRUCTURE,
        kind=code,
        region=code,
        color_lab=_vertebra_color(vertebra.instance, lightness=68, chroma=46),
        modifier=codes.VERTEBRAL_BODY,
        description="; ".join(words),
    )


def _posterior_segment(vertebra: Vertebra, box: Box, mask: NDArray[np.bool_]) -> Segment:
    name = vertebra.level or f"vertebra {vertebra.instance}"
    uncertain = vertebra.level is None or vertebra.level_uncertain
    return Segment(
        label=f"{name} posterior elements" + (" (level unknown)" if vertebra.level is None else ""),
        box=box,
        mask=mask,
        category=codes.ANATOMICAL_STRUCTURE,
        kind=codes.VERTEBRAL_ARCH,
        region=codes.vertebra_code(vertebra.level),
        color_lab=_vertebra_color(vertebra.instance, lightness=50, chroma=36),
        description="LEVEL UNCERTAIN, check before use" if uncertain else "",
    )


def _disc_segments(case: Case) -> Iterator[Segment]:
    if "discs" not in case.labels:
        return
    discs = case.labels["discs"]
    found = _Labels(discs.array)
    uncertain = {v.level for v in case.vertebrae if v.level_uncertain}
    for label in found.boxes:
        name = discs.names.get(label, "")
        known = "/" in name
        doubtful = known and not uncertain.isdisjoint(name.split("/"))
        yield _structure(
            f"{name} disc" if known else f"disc {label} (level unknown)",
            found.within(label),
            codes.disc_code(name if known else None),
            (72, -8, -34),
            description="LEVEL UNCERTAIN, check before use" if doubtful or not known else "",
        )


def _structure(
    label: str,
    where: tuple[Box, NDArray[np.bool_]],
    code: Code,
    color_lab: tuple[float, float, float],
    modifier: Code | None = None,
    *,
    description: str = "",
) -> Segment:
    return Segment(label, *where, codes.ANATOMICAL_STRUCTURE, code, codes.SPINE, color_lab, modifier, description)


def _lesion_segments(case: Case) -> Iterator[Segment]:
    if "lesions" not in case.labels:
        return
    found = _Labels(case.labels["lesions"].array)
    for lesion in case.lesions:
        box, mask = found.within(lesion.label)
        malignant = float(lesion.probabilities.get("malignant", 0.0))
        yield Segment(
            label=lesion_tracking_id(lesion),
            box=box,
            mask=mask,
            category=codes.ABNORMAL_STRUCTURE,
            kind=codes.LESION,
            region=codes.vertebra_code(lesion.level) if lesion.level else codes.SPINE,
            color_lab=_suspicion_color(malignant),
            description=f"candidate; probability of malignancy {malignant:.2f}; uncertainty {lesion.uncertainty:.2f}",
        )


def _vertebra_color(instance: int, *, lightness: float, chroma: float) -> tuple[float, float, float]:
    angle = np.deg2rad(GOLDEN_ANGLE_DEG * instance)
    return lightness, float(chroma * np.cos(angle)), float(chroma * np.sin(angle))


def _suspicion_color(malignant: float) -> tuple[float, float, float]:
    """Yellow for a benign-looking candidate, through orange, to red for a suspicious one."""
    benign, suspicious = np.array([86.0, -2.0, 78.0]), np.array([50.0, 74.0, 52.0])
    lightness, a, b = benign + float(np.clip(malignant, 0, 1)) * (suspicious - benign)
    return float(lightness), float(a), float(b)


class _Planes:
    """Segments as planes of the reference series: taken one by one, then written."""

    def __init__(
        self, reference: ReferenceSeries, kind: SegmentationKind, known: Mapping[str, Dataset] | None = None
    ) -> None:
        self.reference = reference
        self.kind = kind
        self.known = known or {}
        self.described: list[Dataset] = []
        self.packed: list[PackedSegment] = []
        self.overlapping = False
        self.taken = np.zeros(reference.geometry.spatial_shape, np.uint16 if kind == "LABELMAP" else bool)

    def add(self, segments: Iterable[Segment]) -> None:
        """Take the segments that are not empty."""
        for segment in segments:
            if not segment.mask.any():
                continue
            self.described.append(self._described(segment))
            mask, box = self.reference.slices_of(segment.mask), self.reference.layout.box_of(segment.box)
            taken = self.taken[box]
            if self.kind == "LABELMAP":
                taken[mask] = len(self.described)
                continue
            self.packed.append(PackedSegment.of(mask, box=box, frame=self.taken.shape[1:]))
            self.overlapping = self.overlapping or bool((taken & mask).any())
            taken |= mask

    def _described(self, segment: Segment) -> Dataset:
        """Describe a segment, as it was described on another series if it was."""
        number, known = len(self.described) + 1, self.known.get(segment.label[:64])
        if known is None or self.kind == "LABELMAP":
            made = _describe(number, segment)
            if known is not None:
                made.TrackingUID = known.TrackingUID
            return made
        return altered(known, SegmentNumber=number)

    def write(self, *, series_number: int, content: str) -> Dataset | None:
        """Give the object; None without segments."""
        if not self.described:
            return None
        said = equipment(series_number=series_number, description=f"Spondyl {content.lower()}")
        about = f"{content}. {spondyl.RESEARCH_USE_ONLY}"[:64]
        if self.kind == "LABELMAP":
            return self._label_map(about, said)
        own = {
            "SOPInstanceUID": said["sop_instance_uid"],
            "SeriesInstanceUID": said["series_instance_uid"],
            "SeriesNumber": series_number,
            "SeriesDescription": said["series_description"],
            "ContentDescription": about,
        }
        return self.reference.planes.segmentation(own, self.described, self.packed, overlapping=self.overlapping)

    def _label_map(self, about: str, said: Mapping[str, Any]) -> Dataset:
        result = hd.seg.Segmentation(
            source_images=list(self.reference.headers),
            pixel_array=self.reference.volume_of(self.taken),
            segmentation_type=self.kind,
            segment_descriptions=self.described,  # type: ignore[arg-type]
            content_label="RESEARCH_USE",
            content_description=about,
            content_qualification="RESEARCH",
            coding_schemes=codes.coding_schemes(),
            **said,
        )
        self.reference.relink(result)
        return result


def _describe(number: int, segment: Segment) -> hd.seg.SegmentDescription:
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.label[:64],
        segmented_property_category=segment.category,
        segmented_property_type=segment.kind,
        algorithm_type="AUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=MODEL, family=codes.ARTIFICIAL_INTELLIGENCE, version=spondyl.__version__
        ),
        tracking_uid=hd.UID(),
        tracking_id=segment.label[:64],
        anatomic_regions=[segment.region],
        display_color=hd.color.CIELabColor(*segment.color_lab),
    )
    if segment.description:
        description.SegmentDescription = segment.description[:1024]
    if segment.modifier is not None:
        item = description.SegmentedPropertyTypeCodeSequence[0]
        modifier = Dataset()
        modifier.update(codes.concept(segment.modifier))
        item.SegmentedPropertyTypeModifierCodeSequence = DicomSequence([modifier])
    return description
