"""What the viewer shows: images, outlines and maps as plain blocks of numbers, made once and kept beside the study.

A browser cannot read DICOM quickly, and software rendering of a whole volume is slow, but to paint one slice from an
array takes milliseconds. So every image is laid out once as its slices are shown (sagittal and coronal: anterior or
right to the left, head up; axial: the patient's right on the left), with the affine that says where each voxel lies.
The page links sequences, cuts label maps and measures by these affines alone; nothing is resampled here.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import SAGITTAL, InputError, SpondylError, Vertebra, reorient
from spondyl.io.figures import window
from spondyl.io.parametric_map import read_parametric_map
from spondyl.io.result import read_result
from spondyl.io.seg import vertebra_tracking_id
from spondyl.io.seg_reader import read_segmentation
from spondyl.io.study import read_study
from spondyl.io.views import AXIAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from spondyl.core import Grid, Image

VIEW_VERSION = "1"
"""Changes when the files made here change, so that older ones are made anew."""

DISPLAY_ORIENTATION = {"sagittal": SAGITTAL, "coronal": "PIL", "axial": AXIAL}
"""Slices, rows, columns as radiologists expect them; the axial one is also that of the report."""

POSTERIOR_OFFSET, DISC_OFFSET = 64, 128
"""Values of the outlines: vertebral bodies have their instance, posterior elements and discs theirs plus this."""

CANAL, CORD, SACRUM, FIRST_SACRAL = 200, 201, 202, 203
"""Values of the other outlines."""

LARGEST_VALUE = 65535
"""Images travel in 16 bits; those that hold more or finer values are scaled."""

GZIP_LEVEL = 1
"""Fast packing: images are made while somebody waits."""

LABELS, MAPS = ("structures", "lesions"), ("saliency", "uncertainty")

_MAKING: dict[Path, threading.Lock] = {}
_MAKING_GUARD = threading.Lock()


@dataclass(frozen=True)
class ViewFolder:
    """The viewer's files of one study.

    Parameters
    ----------
    path : Path
        The folder.
    manifest : mapping of str to object
        What lies in it and where each voxel is.
    """

    path: Path
    manifest: Mapping[str, Any]

    def file(self, name: str) -> Path:
        """Give the file of a volume.

        Parameters
        ----------
        name : str
            As the manifest has it.

        Returns
        -------
        Path
            Numbers of the volume, packed with gzip.

        Raises
        ------
        InputError
            If there is no such volume.
        """
        if name not in {v["name"] for part in ("images", "labels", "maps") for v in self.manifest[part]}:
            msg = "the study has no such volume; the manifest names all"
            raise InputError(msg)
        return self.path / f"{name}.gz"


def view_folder(study_folder: Path) -> ViewFolder:
    """Give the viewer's files of a study, made now if they are missing or older than the result.

    Parameters
    ----------
    study_folder : Path
        Holds ``incoming`` and, once analyzed, ``result``.

    Returns
    -------
    ViewFolder
        The files.

    Raises
    ------
    InputError
        If the images cannot be read.
    """
    path = study_folder / f"view-{_fingerprint(study_folder)}"
    with _MAKING_GUARD:
        lock = _MAKING.setdefault(path, threading.Lock())
    with lock:
        if not (path / "manifest.json").is_file():
            _make(study_folder, path)
    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    return ViewFolder(path, manifest)


def _fingerprint(study_folder: Path) -> str:
    """Name what the view is made of, so that a new result or a late instance makes a new view."""
    digest = hashlib.sha256(VIEW_VERSION.encode())
    result = study_folder / "result" / "result.json"
    digest.update(result.read_bytes() if result.is_file() else b"")
    for entry in (
        sorted(os.scandir(study_folder / "incoming"), key=lambda e: e.name) if _has_images(study_folder) else ()
    ):
        digest.update(f"{entry.name} {entry.stat().st_size}".encode())
    return digest.hexdigest()[:16]


def _has_images(study_folder: Path) -> bool:
    return (study_folder / "incoming").is_dir()


def _make(study_folder: Path, path: Path) -> None:
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        manifest = _write_view(study_folder, draft)
        (draft / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        for older in study_folder.glob("view-*"):
            shutil.rmtree(older, ignore_errors=True)
        draft.rename(path)
    except OSError:
        if not (path / "manifest.json").is_file():  # else another process was faster
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_view(study_folder: Path, folder: Path) -> dict[str, Any]:
    case = read_study(study_folder / "incoming").case
    document = read_result(study_folder / "result") if (study_folder / "result" / "result.json").is_file() else None
    vertebrae = [] if document is None else [vertebra_of(v) for v in document["vertebrae"]]
    images: list[dict[str, Any]] = []
    seen: set[str] = set()
    for image in (*case.images.values(), *case.others):
        name = _name(image, seen)
        images.append(_write_image(image, name, folder, vertebrae))
    manifest: dict[str, Any] = {"version": VIEW_VERSION, "images": images, "labels": [], "maps": [], "missing": []}
    if document is None:
        return manifest
    reference = next((i for s, i in case.images.items() if str(s) == document["reference_sequence"]), None)
    if reference is None:
        return manifest | {"missing": [*LABELS, *MAPS]}
    manifest["reference"] = next(i["name"] for i in images if i["series_uid"] == reference.source.series_uid)
    for kind, name, array in _overlays(study_folder / "result", reference.grid, vertebrae, manifest["missing"]):
        manifest[kind].append(_write(array, reference.grid, name, folder))
    return manifest


def vertebra_of(values: Mapping[str, Any]) -> Vertebra:
    """Give the vertebra that an entry of ``result.json`` describes.

    Parameters
    ----------
    values : mapping
        One of ``vertebrae``.

    Returns
    -------
    Vertebra
        The vertebra.
    """
    known = {f.name for f in fields(Vertebra)}
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
    return Vertebra(**given)


def _name(image: Image, seen: set[str]) -> str:
    base = str(image.sequence).lower().replace("_", "-")
    name = next(n for n in (base, *(f"{base}-{k}" for k in range(2, 1000))) if n not in seen)
    seen.add(name)
    return name


def _write_image(image: Image, name: str, folder: Path, vertebrae: list[Vertebra]) -> dict[str, Any]:
    array = np.nan_to_num(image.array, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(array.min()), float(array.max())
    scale = 1.0
    if low < 0 or high > LARGEST_VALUE or not (array[array.shape[0] // 2] % 1 == 0).all():
        scale = max(high - low, 1e-9) / LARGEST_VALUE
    else:
        low = 0.0
    packed = np.round((array - low) / scale).astype(np.uint16)
    black, white = window(image, vertebrae)
    acquisition = image.acquisition
    return _write(packed, image.grid, name, folder) | {
        "sequence": str(image.sequence),
        "series_uid": image.source.series_uid,
        "series_number": image.source.series_number,
        "b_value_s_mm2": acquisition.b_value_s_mm2,
        "scale": scale,
        "offset": low,
        "window": [black, white],
    }


def _write(array: NDArray[Any], grid: Grid, name: str, folder: Path) -> dict[str, Any]:
    """Write the numbers of a volume as its slices are shown, and say where they lie."""
    orientation = DISPLAY_ORIENTATION[grid.plane]
    shown = grid.reoriented(orientation)
    block = np.ascontiguousarray(reorient(array, grid.orientation, orientation))
    little = block.astype(block.dtype.newbyteorder("<"), copy=False)
    with gzip.GzipFile(folder / f"{name}.gz", "wb", compresslevel=GZIP_LEVEL, mtime=0) as file:
        file.write(little.tobytes())
    return {
        "name": name,
        "plane": grid.plane,
        "dtype": block.dtype.name,
        "shape": list(shown.shape),
        "spacing_mm": [round(s, 5) for s in shown.spacing_mm],
        "affine": np.round(shown.affine, 6).tolist(),
    }


def _overlays(
    result: Path, grid: Grid, vertebrae: list[Vertebra], missing: list[str]
) -> Iterator[tuple[str, str, NDArray[np.uint8]]]:
    """Give the label maps and maps of a result; name those that it does not have or that cannot be read."""
    readers = {
        "structures": lambda path: _structures(path, grid, vertebrae),
        "lesions": lambda path: _lesions(path, grid),
        "saliency": lambda path: _bytes(read_parametric_map(path, on=grid)),
        "uncertainty": lambda path: _bytes(read_parametric_map(path, on=grid)),
    }
    for name, read in readers.items():
        path = result / "dicom" / f"{'vertebrae' if name == 'structures' else name}.dcm"
        try:
            if not path.is_file():
                missing.append(name)
                continue
            yield "labels" if name in LABELS else "maps", name, read(path)
        except SpondylError:
            missing.append(name)


def _bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _structures(path: Path, grid: Grid, vertebrae: list[Vertebra]) -> NDArray[np.uint8]:
    labels = np.zeros(grid.shape, np.uint8)
    fixed = {"spinal canal": CANAL, "spinal canal without cord": CANAL, "spinal cord": CORD}
    fixed |= {"sacrum": SACRUM, "sacrum without S1 body": SACRUM, "S1 vertebral body": FIRST_SACRAL}
    bodies = {vertebra_tracking_id(v): v.instance for v in vertebrae}
    posterior = {(v.level or f"vertebra {v.instance}"): v.instance for v in vertebrae}
    discs = 0
    found = []
    for info, mask in read_segmentation(path, on=grid):
        value = bodies.get(info.label) or fixed.get(info.label)
        name, _, rest = info.label.partition(" posterior elements")
        if value is None and rest != info.label and name in posterior:
            value = POSTERIOR_OFFSET + posterior[name]
        if value is None and "disc" in info.label:
            discs += 1
            value = DISC_OFFSET + discs
        if value is not None:
            found.append((_depth(value), value, mask.array > 0))
    for _, value, inside in sorted(found, key=lambda item: item[0]):
        labels[inside] = value
    return labels


def _depth(value: int) -> int:
    """Say what is painted over what: the sacrum lies under its first body, the canal under the cord."""
    return (SACRUM, CANAL).index(value) - 2 if value in (SACRUM, CANAL) else 0


def _lesions(path: Path, grid: Grid) -> NDArray[np.uint8]:
    labels = np.zeros(grid.shape, np.uint8)
    for info, mask in read_segmentation(path, on=grid):
        number = info.label.removeprefix("lesion ").partition(",")[0]
        if number.isdigit() and 0 < int(number) < 256:
            labels[mask.array > 0] = int(number)
    return labels


def nifti_file(view: ViewFolder, name: str) -> Path:
    """Give a volume as NIfTI, made once: the form in which NiiVue takes it.

    Parameters
    ----------
    view : ViewFolder
        The viewer's files of a study.
    name : str
        Name of the volume.

    Returns
    -------
    Path
        A ``.nii.gz`` file.

    Raises
    ------
    InputError
        If there is no such volume.
    """
    from spondyl.core import Grid, LabelMap
    from spondyl.io.nifti import write_nifti

    source = view.file(name)
    path = view.path / f"{name}.nii.gz"
    if not path.is_file():
        entry = next(v for part in ("images", "labels", "maps") for v in view.manifest[part] if v["name"] == name)
        numbers = np.frombuffer(gzip.decompress(source.read_bytes()), np.dtype(entry["dtype"]).newbyteorder("<"))
        grid = Grid(tuple(entry["shape"]), np.asarray(entry["affine"]))
        write_nifti(LabelMap(numbers.reshape(grid.shape).astype(np.uint16), grid), path)
    return path
