"""Decode the pixels of frames, whatever their compression, into the values their header means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.pixels.utils import iter_pixels, pixel_array
from pydicom.uid import ImplicitVRLittleEndian

from spondyl.io.dicom import UNREADABLE, quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from spondyl.io.dicom import Frame


def decode(frames: list[Frame]) -> list[NDArray[np.float32] | None]:
    """Decode frames and apply their rescale slope and intercept.

    Parameters
    ----------
    frames : list of Frame
        What to decode; frames of one file are decoded together.

    Returns
    -------
    list of (ndarray of float32, shape (rows, columns)) or None
        In the order given; None where pixels are missing, damaged, colored or of another size than the header says.

    References
    ----------
    PS3.3 sections C.11.1 (Modality LUT) and C.7.6.16.2.9 (Pixel Value Transformation).
    """
    by_file: dict[int, list[int]] = {}
    for at, frame in enumerate(frames):
        by_file.setdefault(id(frame.instance), []).append(at)
    decoded: list[NDArray[np.float32] | None] = [None] * len(frames)
    with quiet():
        for places in by_file.values():
            for at, stored in zip(places, _stored([frames[p] for p in places]), strict=False):
                decoded[at] = _rescaled(frames[at], stored)
    return decoded


def _stored(frames: list[Frame]) -> Iterator[NDArray[Any]]:
    """Give stored values of frames of one file; ends early where the file does."""
    instance = frames[0].instance
    try:
        if not instance.header.file_meta.get("TransferSyntaxUID"):
            dataset = pydicom.dcmread(instance.file.path, force=True)
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            yield from iter_pixels(dataset, indices=[f.number - 1 for f in frames])
        elif len(frames) == 1:
            yield pixel_array(instance.file.path, index=frames[0].number - 1)
        else:
            yield from iter_pixels(instance.file.path, indices=[f.number - 1 for f in frames])
    except UNREADABLE:
        return


def _rescaled(frame: Frame, stored: NDArray[Any]) -> NDArray[np.float32] | None:
    if stored.ndim != 2 or stored.shape != (frame.get("Rows"), frame.get("Columns")):
        return None
    slope, intercept = frame.number_of("RescaleSlope"), frame.number_of("RescaleIntercept")
    values = stored.astype(np.float32)
    if slope not in (None, 0.0, 1.0):
        values *= np.float32(slope)
    if intercept:
        values += np.float32(intercept)
    if frame.text("PhotometricInterpretation") == "MONOCHROME1":  # PS3.3 section C.7.6.3.1.2: low values are bright
        values = values.max() + values.min() - values
    return values
