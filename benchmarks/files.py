"""How long the command line takes to answer, and reading and writing take outside the models.

A made-up lumbar study of five series with 20 slices of 320 x 320 pixels, as the tests have it; the DICOM results and
the pages are those of a made-up case on the same grid. Run:

    python benchmarks/files.py [--runs 5]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from dicom_fakes import classic_source, source_grid
from dicom_fakes import fake_case as case_on
from fake_case import analyzed_case, image, sagittal_grid
from spondyl import __version__
from spondyl.core import Sequence
from spondyl.io.dicom_results import write_results
from spondyl.io.mr_writer import SyntheticStudy, write_series
from spondyl.io.report import render_report
from spondyl.io.study import read_study
from spondyl.io.summary import summary_pdf

if TYPE_CHECKING:
    from collections.abc import Callable

SEQUENCES = (Sequence.T1, Sequence.T2, Sequence.STIR, Sequence.DWI, Sequence.T1CE)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    print(f"spondyl {__version__}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}; {runs} runs after one to warm up, in s")
    grid = sagittal_grid(slices=20, rows=320, columns=320, spacing_mm=(4.4, 0.9, 0.9))
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        study = SyntheticStudy("SYN-1")
        for number, sequence in enumerate(SEQUENCES, 1):
            made = image(sequence, grid, number=number)
            write_series(made, base / "in" / str(number), study=study, series_number=number)
        source_at = source_grid("sagittal", (20, 320, 320))
        source = classic_source(source_at)
        case, shown = case_on(source_at, source), analyzed_case(*SEQUENCES, grid=grid)
        sources: dict[str, Any] = {source.series_uid: source}
        command = [sys.executable, "-m", "spondyl.app.cli", "--help"]
        tell("spondyl --help", runs, lambda: subprocess.run(command, capture_output=True, check=True))
        tell("reading five series", runs, lambda: read_study(base / "in"))
        tell("writing SEG, SR and parametric maps", runs, lambda: write_results(case, sources, base / "out"))
        tell("making the report", runs, lambda: render_report(shown, methods=""))
        tell("making the summary", runs, lambda: summary_pdf(shown))


def tell(what: str, runs: int, work: Callable[[], object]) -> None:
    """Time something and print it."""
    work()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    print(f"{what}: median {statistics.median(times):.2f}, {min(times):.2f} to {max(times):.2f}")


if __name__ == "__main__":
    main()
