"""The demonstration: a synthetic patient comes out of a synthetic scanner as DICOM and is analyzed like any other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spondyl.app.analyze import AnalysisOptions, AnalysisResult, analyze_study
from spondyl.app.simulate import simulate_study
from spondyl.pipeline.settings import Settings

if TYPE_CHECKING:
    from spondyl.pipeline.run import Progress

DEMO_SEED = 1_000_003
"""A patient with lesions of different kinds; the same as in the first tutorial."""


def demonstrate(
    out_folder: Path | str, *, seed: int = DEMO_SEED, threads: int = 0, progress: Progress | None = None
) -> AnalysisResult:
    """Make a synthetic patient and analyze the study.

    Parameters
    ----------
    out_folder : Path or str
        Holds ``patient`` (DICOM and truth) and ``result`` afterward.
    seed : int, optional
        Which patient.
    threads : int, optional
        Processor threads; 0 takes all.
    progress : callable, optional
        Told the name, number and count before each part of the work.

    Returns
    -------
    AnalysisResult
        What was found.
    """
    out = Path(out_folder)
    if progress is not None:
        progress("simulate", 1, 1)
    study = simulate_study(seed, out / "patient", lesions="malignant")
    options = AnalysisOptions(settings=Settings(threads=threads))
    return analyze_study(study, out / "result", options=options, progress=progress)
