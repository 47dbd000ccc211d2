"""Read and write NIfTI. The only place that knows RAS: it turns into LPS on the way in and back on the way out."""

from __future__ import annotations

import json
import logging
import os
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from spondyl.core import Acquisition, GeometryError, Grid, Image, InputError, LabelMap, OutputError, QualityFlag
from spondyl.io import words
from spondyl.io.acquisition import HeaderFacts, seconds_since_midnight, vendor_family
from spondyl.io.dicom import MAX_VOXELS
from spondyl.io.series import MAX_SPACING_MM, MIN_SPACING_MM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.io.files import StudyFile

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""NIfTI's world is RAS (NIfTI-1 data format, nifti1.h, section "3D image orientation"); ours is LPS."""

UNIT_TO_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
"""Millimeters in each unit of xyzt_units (nifti1.h)."""

SCANNER_SPACE = 1
"""qform and sform code of scanner coordinates (nifti1.h, NIFTI_XFORM_SCANNER_ANAT)."""

MAX_LABELS = 64
"""An integer volume with at most so many different values is taken for a label map. Chosen by us: L1 to S5 and their
parts fit, no MR image has so few."""

MIN_BACKGROUND = 0.5
"""Part of a label map that is background, at least. Chosen by us."""

UNREADABLE = (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError, OSError, EOFError, ValueError,
              KeyError, TypeError, OverflowError, zlib.error, MemoryError)  # fmt: skip
"""What nibabel raises on damaged files. Its texts hold the path, so they are never passed on."""

SIDECAR_SCALES = {
    "MagneticFieldStrength": ("field_strength_t", 1.0),
    "EchoTime": ("echo_time_ms", 1000.0),
    "RepetitionTime": ("repetition_time_ms", 1000.0),
    "InversionTime": ("inversion_time_ms", 1000.0),
    "FlipAngle": ("flip_angle_deg", 1.0),
    "SliceThickness": ("slice_thickness_mm", 1.0),
    "PixelBandwidth": ("bandwidth_hz_px", 1.0),
}
"""Numbers in a BIDS sidecar (BIDS 1.9, MRI metadata: times in seconds), the field they fill, and the factor."""


@dataclass(frozen=True, eq=False)
class NiftiVolume:
    """A volume read from NIfTI.

    Parameters
    ----------
    array : ndarray of float32, shape ``grid.shape``
        Signal, finite.
    grid : Grid
        Where the voxels are, in LPS.
    facts : HeaderFacts
        What the file's name and sidecar tell.
    flags : tuple of QualityFlag
        What limits it.
    is_label_map : bool
        Whether the values look like labels rather than signal.
    """

    array: NDArray[np.float32]
    grid: Grid
    facts: HeaderFacts
    flags: tuple[QualityFlag, ...] = ()
    is_label_map: bool = False


def read_nifti(file: StudyFile) -> NiftiVolume:
    """Read one NIfTI file; of a series of volumes, one.

    Parameters
    ----------
    file : StudyFile
        A ``.nii`` or ``.nii.gz`` file.

    Returns
    -------
    NiftiVolume
        The volume; what had to be assumed or repaired stands in its flags.

    Raises
    ------
    InputError
        If the file is damaged, empty, too large or not one volume.
    GeometryError
        If its affine or spacing is impossible.
    """
    where = file.where
    try:
        image, data, dropped = _load(file)
    except UNREADABLE:
        msg = f"expected a readable NIfTI volume, got a damaged file: {where}. Export it again"
        raise InputError(msg) from None
    flags = [QualityFlag("volumes_ignored", dropped, where=where)] if dropped else []
    grid, note = _grid(image, data.shape, where)
    if note:
        flags.append(QualityFlag("units_converted", note, where=where))
    finite = np.isfinite(data)
    if not finite.all():
        text = f"{np.size(finite) - int(finite.sum())} voxels were not numbers and were set to the lowest signal."
        flags.append(QualityFlag("not_a_number", text, where=where))
        data = np.where(finite, data, data[finite].min() if finite.any() else 0).astype(np.float32)
    if data.size > 1 and np.ptp(data) == 0:
        flags.append(QualityFlag("constant_image", "All voxels have the same value.", "error", where))
    if min(grid.shape) == 1:
        text = "Only one slice: nothing can be followed through slices."
        flags.append(QualityFlag("single_slice", text, where=where))
    return NiftiVolume(data, grid, _facts(file), tuple(flags), _looks_like_labels(data))


def _load(file: StudyFile) -> tuple[Any, NDArray[np.float32], str]:
    """Open a file, check its size before allocating, and read one volume of it."""
    logger = logging.getLogger("nibabel")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Any = nib.load(file.path)
            shape = tuple(int(n) for n in image.shape)
            _check_shape(shape, file.where)
            index, dropped = _which_volume(shape)
            # Slicing the proxy reads this volume alone.
            data = np.asarray(image.dataobj[(..., *index)] if index else image.dataobj)
    finally:
        logger.setLevel(level)
    if np.iscomplexobj(data) or data.dtype.names:
        msg = "not a scalar image"
        raise ValueError(msg)
    with np.errstate(over="ignore"):
        data = data.astype(np.float32)
    return image, data.reshape(*shape[:3], *(1,) * (3 - len(shape))), dropped


def _check_shape(shape: tuple[int, ...], where: str) -> None:
    n_voxels = int(np.prod(shape[:3], dtype=object)) if shape else 0
    if len(shape) < 2 or min(shape) < 1 or len(shape) > 5:
        msg = f"expected a volume, got sizes {shape}: {where}. Export it again"
        raise InputError(msg)
    if n_voxels > MAX_VOXELS:
        msg = f"expected at most {MAX_VOXELS} voxels, got {n_voxels}: {where}. Crop or resample it"
        raise InputError(msg)


def _which_volume(shape: tuple[int, ...]) -> tuple[tuple[int, ...], str]:
    """Choose one of several volumes: the first, which in a diffusion series is usually the one without weighting."""
    if len(shape) <= 3:
        return (), ""
    n_volumes = int(np.prod(shape[3:]))
    index = (0,) * (len(shape) - 3)
    return index, "" if n_volumes == 1 else f"The file holds {n_volumes} volumes; the first one was used."


def _grid(image: Any, shape: tuple[int, ...], where: str) -> tuple[Grid, str]:
    header = image.header
    unit = header.get_xyzt_units()[0] if hasattr(header, "get_xyzt_units") else "mm"
    factor = UNIT_TO_MM.get(unit, 1.0)
    affine = np.asarray(image.affine, np.float64).copy()
    affine[:3] *= factor
    note = f"Lengths were given in {unit} and were converted to mm." if factor != 1.0 else ""
    try:
        grid = Grid(shape, RAS_TO_LPS @ affine)  # type: ignore[arg-type]
    except GeometryError:
        msg = f"expected a finite, invertible affine, got none: {where}. Export it again with its geometry"
        raise GeometryError(msg) from None
    if not all(MIN_SPACING_MM <= s <= MAX_SPACING_MM for s in grid.spacing_mm):
        got = " x ".join(f"{s:.4g}" for s in grid.spacing_mm)
        msg = (
            f"expected spacing from {MIN_SPACING_MM} to {MAX_SPACING_MM} mm, got {got} mm: {where}. "
            "Correct the unit (xyzt_units) or the affine of the file"
        )
        raise GeometryError(msg)
    return grid, note


def _looks_like_labels(data: NDArray[np.float32]) -> bool:
    """Say whether there are only a few whole numbers, most of them zero."""
    values = np.unique(data) if np.unique(data.ravel()[:10_000]).size <= MAX_LABELS else np.empty(0)
    whole = 1 < values.size <= MAX_LABELS and bool((values == np.round(values)).all()) and values[0] == 0
    return whole and float((data == 0).mean()) > MIN_BACKGROUND


def _facts(file: StudyFile) -> HeaderFacts:
    """Take what the file's own name says, then what a BIDS sidecar says."""
    name = Path(file.name).name.lower().removesuffix(".gz").removesuffix(".nii")
    said = words.found(name)
    real = file.path.name
    sidecar = file.path.with_name(real[: -len(".nii.gz" if real.endswith(".gz") else ".nii")] + ".json")
    try:
        told = json.loads(sidecar.read_text(encoding="utf-8")) if sidecar.is_file() else {}
    except (OSError, ValueError):
        told = {}
    if not isinstance(told, dict) or not told:
        return HeaderFacts(said=said)
    return _sidecar_facts(told, said)


def _sidecar_facts(told: dict[str, Any], said: frozenset[str]) -> HeaderFacts:
    numbers: dict[str, Any] = {}
    for key, (name, factor) in SIDECAR_SCALES.items():
        if isinstance(told.get(key), (int, float)) and told[key] > 0:
            numbers[name] = float(told[key]) * factor
    scanning = frozenset(str(told.get("ScanningSequence", "")).upper().replace("\\", "_").split("_")) - {""}
    described = words.found(str(told.get("SeriesDescription", "")))
    types = told.get("ImageType") if isinstance(told.get("ImageType"), list) else []
    acquisition = Acquisition(
        **numbers,
        fat_suppressed=True if "fat suppressed" in said | described else None,
        vendor=vendor_family(str(told.get("Manufacturer", ""))),
        model=str(told.get("ManufacturersModelName", "")),
        software=str(told.get("SoftwareVersions", "")),
        coil=str(told.get("ReceiveCoilName", "")),
        acquired_s=seconds_since_midnight(str(told.get("AcquisitionTime", ""))),
    )
    return HeaderFacts(
        acquisition,
        image_type=tuple(str(t).upper() for t in types or ()),
        scanning=scanning,
        said=said | described,
        sequence_name=str(told.get("SequenceName", told.get("PulseSequenceName", ""))).lower(),
    )


def write_nifti(volume: Image | LabelMap, path: Path) -> None:
    """Write an image or label map as NIfTI, whole or not at all.

    Parameters
    ----------
    volume : Image or LabelMap
        What to write; voxels keep their order.
    path : Path
        Ends in ``.nii`` or ``.nii.gz``.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    image: Any = nib.Nifti1Image(volume.array, RAS_TO_LPS @ volume.grid.affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm", "sec")
    image.set_qform(image.affine, SCANNER_SPACE)
    image.set_sform(image.affine, SCANNER_SPACE)
    image.header["descrip"] = b"Spondyl, research use only"
    partial: Path | None = None
    try:
        partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
        nib.save(image, partial)
        partial.replace(path)
    except OSError as error:
        if partial is not None:
            partial.unlink(missing_ok=True)
        msg = (
            f"expected to write a NIfTI file, got error {error.errno}. Check permissions and space of the output folder"
        )
        raise OutputError(msg) from None
