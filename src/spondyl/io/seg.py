"""Vertebrae and lesions as DICOM Segmentations (PS3.3 section A.51), and segmentations of anybody read back.

BINARY is the default because every viewer shows it. It may overlap, so the canal includes the cord and the sacrum its
first body, as an anatomist means them. LABELMAP may not; there each voxel keeps only the innermost structure (cord
before canal, first sacral body before sacrum), and the labels say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

import spondyl
from spondyl.core import Structure
from spondyl.io import codes
from spondyl.io.reference import MODEL, ReferenceSeries, equipment
from spondyl.io.seg_frames import PackedSegment, with_all_frames
from spondyl.io.seg_reader import SegmentInfo, SegmentMask, read_segmentation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from pydicom.sr.coding import Code

    from spondyl.core import Case, Lesion, Vertebra

__all__ = [
    "Segment",
    "SegmentInfo",
    "SegmentMask",
    "lesion_segmentation",
    "lesion_tracking_id",
    "read_segmentation",
    "vertebra_segmentation",
    "vertebra_tracking_id",
]

SegmentationKind = Literal["BINARY", "LABELMAP"]

VERTEBRAE_SERIES_NUMBER = 9101
LESIONS_SERIES_NUMBER = 9102
"""Above the numbers that scanners give. Chosen by us."""

FEW_SEGMENTS = 3
"""So many segments are left to highdicom altogether, which is faster for them."""

GOLDEN_ANGLE_DEG = 137.508
"""Steps of this angle around the color circle keep the hues of neighboring vertebrae far apart."""


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment to be written.

    Parameters
    ----------
    label : str
        Its name, at most 64 characters.
    mask : ndarray of bool, shape of the reference image
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
        Segments of the same case on another series by their tracking identifiers; they are described alike.

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
        Segments of the same case on another series by their tracking identifiers; they are described alike.

    Returns
    -------
    Dataset or None
        None where there is no lesion: an empty segmentation is not allowed.
    """
    planes = _Planes(reference, kind, known)
    planes.add(_lesion_segments(case))
    return planes.write(series_number=series_number, content=content)


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


def _spine_segments(case: Case, *, overlapping: bool) -> Iterator[Segment]:
    """Plan the segments from the label maps, in the order in which a reader expects them."""
    structures = case.labels["structures"].array
    instances = case.labels["vertebrae"].array if "vertebrae" in case.labels else np.zeros_like(structures)
    body = (structures == Structure.BODY) | (structures == Structure.CORTEX)
    first_sacral = structures == Structure.S1
    posterior = structures == Structure.POSTERIOR
    unclaimed = first_sacral.copy()
    for vertebra in case.vertebrae:
        own = instances == vertebra.instance
        own_body = own & body
        if vertebra.level == "S1" or not own_body.any():
            own_body |= own & first_sacral
            unclaimed &= ~own
        yield _body_segment(vertebra, own_body)
        if (own_posterior := own & posterior).any():
            yield _posterior_segment(vertebra, own_posterior)
    if not any(v.level == "S1" for v in case.vertebrae):
        code, doubt = codes.vertebra_code("S1"), "LEVEL UNCERTAIN, check before use"
        yield _structure("S1 vertebral body", unclaimed, code, (62, 14, 30), codes.VERTEBRAL_BODY, description=doubt)
    yield from _disc_segments(case)
    cord = structures == Structure.CORD
    canal = structures == Structure.CANAL
    canal_label = "spinal canal" if overlapping else "spinal canal without cord"
    yield _structure(canal_label, canal | cord if overlapping else canal, codes.VERTEBRAL_CANAL, (80, -20, -18))
    yield _structure("spinal cord", cord, codes.SPINAL_CORD, (88, -4, 72))
    sacrum = structures == Structure.SACRUM
    sacrum_label = "sacrum" if overlapping else "sacrum without S1 body"
    yield _structure(sacrum_label, sacrum | first_sacral if overlapping else sacrum, codes.SACRUM, (58, 12, 28))


def _body_segment(vertebra: Vertebra, mask: NDArray[np.bool_]) -> Segment:
    words = [f"probability of the level {vertebra.level_probability:.2f}"] if vertebra.level else []
    if vertebra.level is None or vertebra.level_uncertain:
        words.insert(0, "LEVEL UNKNOWN" if vertebra.level is None else "LEVEL UNCERTAIN, check before use")
    if vertebra.at_edge:
        words.append("cut by the field of view")
    code = codes.vertebra_code(vertebra.level)
    return Segment(
        label=vertebra_tracking_id(vertebra),
        mask=mask,
        category=codes.ANATOMICAL_STRUCTURE,
        kind=code,
        region=code,
        color_lab=_vertebra_color(vertebra.instance, lightness=68, chroma=46),
        modifier=codes.VERTEBRAL_BODY,
        description="; ".join(words),
    )


def _posterior_segment(vertebra: Vertebra, mask: NDArray[np.bool_]) -> Segment:
    name = vertebra.level or f"vertebra {vertebra.instance}"
    uncertain = vertebra.level is None or vertebra.level_uncertain
    return Segment(
        label=f"{name} posterior elements" + (" (level unknown)" if vertebra.level is None else ""),
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
    uncertain = {v.level for v in case.vertebrae if v.level_uncertain}
    for label in np.flatnonzero(np.bincount(discs.array.ravel()))[1:] if discs.array.any() else ():
        name = discs.names.get(int(label), "")
        known = "/" in name
        doubtful = known and not uncertain.isdisjoint(name.split("/"))
        yield _structure(
            f"{name} disc" if known else f"disc {label} (level unknown)",
            discs.array == label,
            codes.disc_code(name if known else None),
            (72, -8, -34),
            description="LEVEL UNCERTAIN, check before use" if doubtful or not known else "",
        )


def _structure(
    label: str,
    mask: NDArray[np.bool_],
    code: Code,
    color_lab: tuple[float, float, float],
    modifier: Code | None = None,
    *,
    description: str = "",
) -> Segment:
    return Segment(label, mask, codes.ANATOMICAL_STRUCTURE, code, codes.SPINE, color_lab, modifier, description)


def _lesion_segments(case: Case) -> Iterator[Segment]:
    if "lesions" not in case.labels:
        return
    array = case.labels["lesions"].array
    for lesion in case.lesions:
        malignant = float(lesion.probabilities.get("malignant", 0.0))
        yield Segment(
            label=lesion_tracking_id(lesion),
            mask=array == lesion.label,
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
        self.segments: list[Segment] = []
        self.packed: list[PackedSegment] = []
        self.overlapping = False
        shape = reference.geometry.spatial_shape
        self.label_map = np.zeros(shape, dtype=np.uint16 if kind == "LABELMAP" else np.uint8)

    def add(self, segments: Iterable[Segment]) -> None:
        """Take the segments that are not empty."""
        for segment in segments:
            if not segment.mask.any():
                continue
            self.segments.append(segment)
            mask = self.reference.slices_of(segment.mask)
            if self.kind == "LABELMAP":
                self.label_map[mask] = len(self.segments)
                continue
            packed = PackedSegment.of(mask)
            own = mask[packed.slices]
            self.overlapping = self.overlapping or bool((self.label_map[packed.slices] & own).any())
            self.label_map[packed.slices] |= own
            self.packed.append(packed)

    def write(self, *, series_number: int, content: str) -> Dataset | None:
        """Give the object; None without segments."""
        if not self.segments:
            return None
        few = self.kind == "BINARY" and len(self.segments) <= FEW_SEGMENTS
        if few or self.kind == "LABELMAP":
            array = self.label_map if not few else self._stacked([s.mask for s in self.segments])
            descriptions = [_describe(n, segment) for n, segment in enumerate(self.segments, start=1)]
            result = self._object(array, descriptions, series_number, content)
            self._identify(result)
            return result
        # The first of two segments covers all planes, so that all are described; see `spondyl.io.seg_frames`.
        both = np.stack([self.label_map, self.label_map], axis=-1)
        first = self._object(both, [_describe(n, self.segments[0]) for n in (1, 2)], series_number, content)
        described: list[Dataset] = [_describe(n, segment) for n, segment in enumerate(self.segments, start=1)]
        made = with_all_frames(first, self._slices(first), described, self.packed, overlapping=self.overlapping)
        self._identify(made)
        return made

    def _stacked(self, masks: list[NDArray[np.bool_]]) -> NDArray[np.uint8]:
        return np.stack([self.reference.slices_of(mask) for mask in masks], axis=-1).astype(np.uint8)

    def _object(
        self, array: NDArray[Any], descriptions: list[hd.seg.SegmentDescription], series_number: int, content: str
    ) -> hd.seg.Segmentation:
        channels = {"SegmentNumber": list(range(1, array.shape[3] + 1))} if array.ndim == 4 else None
        result = hd.seg.Segmentation(
            source_images=list(self.reference.headers),
            pixel_array=self.reference.volume_of(array, channels),
            segmentation_type=self.kind,
            segment_descriptions=descriptions,
            content_label="RESEARCH_USE",
            content_description=f"{content}. {spondyl.RESEARCH_USE_ONLY}"[:64],
            content_qualification="RESEARCH",
            coding_schemes=codes.coding_schemes(),
            **equipment(series_number=series_number, description=f"Spondyl {content.lower()}"),
        )
        self.reference.relink(result)
        return result

    def _identify(self, made: Dataset) -> None:
        """Give segments the identity that they have on another series."""
        for item in made.SegmentSequence:
            known = self.known.get(str(item.get("TrackingID", "")))
            if known is not None:
                item.TrackingUID = known.TrackingUID

    def _slices(self, first: Dataset) -> list[int]:
        """Say which slice each frame of the first segment shows; frames follow each other by position."""
        n_planes = int(self.label_map.any(axis=(1, 2)).sum())
        affine = self.reference.geometry.affine
        frames = first.PerFrameFunctionalGroupsSequence[:n_planes]
        positions = np.array([f.PlanePositionSequence[0].ImagePositionPatient for f in frames], dtype=float)
        along = (positions - affine[:3, 3]) @ affine[:3, 0] / (affine[:3, 0] @ affine[:3, 0])
        return [int(k) for k in np.rint(along)]


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
