"""Pictures of failures: the vertebra as the sequence showed it on which all results lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import SAGITTAL, Image, InputError, Sequence
from spondyl.io.figures import gray, window
from spondyl.io.files import StudyFile
from spondyl.io.nifti import read_nifti
from spondyl.io.site_figures import FailureView
from spondyl.io.study import read_study
from spondyl.io.views import column_sheet, sagittal_slice, sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.app.site_analyses import SiteAnalysis
    from spondyl.evaluation.site_cases import PairedVertebra

FIELD_MM = 110.0
"""Edge of the picture: a lumbar vertebra with both neighbors and the canal. Chosen by us."""


def failure_view(vertebra: PairedVertebra, analysis: SiteAnalysis) -> FailureView | None:
    """Show a vertebra that went wrong.

    Parameters
    ----------
    vertebra : PairedVertebra
        The failure.
    analysis : SiteAnalysis
        Of its study.

    Returns
    -------
    FailureView or None
        None where the images are not at hand.
    """
    image = reference_image(analysis)
    if image is None:
        return None
    shown_range = window(image, analysis.found.vertebrae)
    center = vertebra.center_lps_mm
    if center is None:
        view = column_sheet(image.grid, [v.centroid_lps_mm for v in analysis.found.vertebrae])
        return FailureView(
            gray(sample(image, view), shown_range), view.pixel_mm, None, view.edges[:2], _title(vertebra)
        )
    laid = image.grid.reoriented(SAGITTAL)
    index = int(np.clip(round(float(laid.lps_to_ijk(center)[0])), 0, laid.shape[0] - 1))
    view = sagittal_slice(image.grid, index)
    row, column = _pixel(view.points_lps_mm, center)
    half = FIELD_MM / view.pixel_mm / 2
    height, width = view.points_lps_mm.shape[:2]
    # Moved inward at the border of the image, so that all pictures have one size.
    top, left = (int(np.clip(at - half, 0, max(size - 2 * half, 0))) for at, size in ((row, height), (column, width)))
    view = view.cropped((top, top + 2 * half - 1), (left, left + 2 * half - 1))
    pixels = gray(sample(image, view), shown_range)
    return FailureView(pixels, view.pixel_mm, (column - left, row - top), view.edges[:2], _title(vertebra))


def reference_image(analysis: SiteAnalysis) -> Image | None:
    """Read the image on whose grid the results of a study lie.

    Parameters
    ----------
    analysis : SiteAnalysis
        The study.

    Returns
    -------
    Image or None
        None where neither the study nor a NIfTI copy in the analysis can be read.
    """
    if analysis.document is None or not analysis.document["reference_sequence"]:
        return None
    wanted = str(analysis.document["reference_sequence"])
    try:
        if analysis.study != analysis.folder:
            images = read_study(analysis.study).case.images
            return next((image for sequence, image in images.items() if str(sequence) == wanted), None)
        file = analysis.folder / "nifti" / f"{wanted.lower()}.nii.gz"
        if not file.is_file():
            return None
        volume = read_nifti(StudyFile(1, file, file.name))
        return Image(volume.array, volume.grid, Sequence(wanted))
    except InputError:
        return None


def _pixel(points: NDArray[np.float64], center: tuple[float, float, float]) -> tuple[int, int]:
    squared = ((points - np.asarray(center)) ** 2).sum(-1)
    row, column = np.unravel_index(int(np.argmin(squared)), squared.shape)
    return int(row), int(column)


def _title(v: PairedVertebra) -> str:
    what = "missed" if v.malignant else "false alarm"
    if v.found is None:
        return f"study {v.study}, {v.level}\n{what}: not found"
    if v.found.probability is None:
        return f"study {v.study}, {v.level}\n{what}: not judged"
    return f"study {v.study}, {v.level} ({v.kind})\n{what}: {v.probability:.2f}"
