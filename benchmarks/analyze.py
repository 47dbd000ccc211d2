"""How long `spondyl analyze` takes from start to files, what it costs in memory, and where the time goes.

A synthetic lumbar study is made, then analyzed whole and with its T2 series alone, each in a fresh process as a user
would call it, and once more whole in a process that has its networks loaded and one analysis behind it, as a node has.
In the same run, on the T2 volume, nnU-Net's standard 3D network with random weights makes one pass (`nnunet_like`), so
that the figures can be compared between machines as a ratio.

    python benchmarks/analyze.py [--runs 3] [--seed 1000001] [--threads N] [--json FILE]
    python benchmarks/analyze.py --warm [--study FOLDER] [--region whole]     # the warm process alone
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pydicom
from nnunet_like import seconds as nnunet_seconds

from spondyl import __version__
from spondyl.core import Sequence, Structure
from spondyl.io.result import read_result
from spondyl.io.study import read_study

SPONDYL = (sys.executable, "-m", "spondyl.app.cli")

GIB = 1024**3

PACKAGES = ("numpy", "openvino", "SimpleITK", "pydicom", "highdicom", "torch", "monai")


def timed(command: list[str]) -> tuple[float, float]:
    """Wall time in s and peak memory in GiB of a command in a fresh process."""
    with tempfile.TemporaryFile("w+") as words:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=words, stderr=words)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            words.seek(0)
            msg = f"{' '.join(command)} ended with exit code {process.returncode}\n{words.read()}"
            raise SystemExit(msg)
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB on Linux
    return wall_s, usage.ru_maxrss * unit / GIB


def analyses(study: Path, out: Path, *, runs: int, threads: int) -> dict:
    """Median wall time, largest peak memory, and the parts of the last run."""
    command = [*SPONDYL, "analyze", str(study), "--out", str(out), "--threads", str(threads)]
    measured = [timed(command) for _ in range(runs)]
    result = read_result(out)
    used = [s for s in result["sequences"] if s["role"] == "primary"]
    return {
        "sequences": [s["sequence"] for s in used],
        "shapes": [s["shape"] for s in used],
        "wall_s": statistics.median(wall for wall, _ in measured),
        "wall_s_all": [round(wall, 2) for wall, _ in measured],
        "peak_gib": max(peak for _, peak in measured),
        "parts_s": result["timings_s"],
        "vertebrae": len(result["vertebrae"]),
    }


def warm(study: Path, folder: Path, *, runs: int, threads: int) -> dict:
    """Median wall time and parts of analyses in this process, after one for warming up."""
    from spondyl.app.analyze import AnalysisOptions, analyze_study, load_networks
    from spondyl.pipeline.settings import Settings

    settings = Settings(threads=threads)
    networks, wall, parts = load_networks(settings), [], []
    for number in range(runs + 1):
        start = time.perf_counter()
        out = folder / f"warm{number}"
        document = analyze_study(study, out, options=AnalysisOptions(settings=settings), networks=networks).document
        wall.append(time.perf_counter() - start)
        parts.append(document["timings_s"])
    used = [s for s in document["sequences"] if s["role"] == "primary"]
    return {
        "sequences": [s["sequence"] for s in used],
        "shapes": [s["shape"] for s in used],
        "wall_s": statistics.median(wall[1:]),
        "wall_s_all": [round(seconds, 2) for seconds in wall[1:]],
        "parts_s": {name: statistics.median(p.get(name, 0.0) for p in parts[1:]) for name in parts[-1]},
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024)
        / GIB,
        "vertebrae": len(document["vertebrae"]),
    }


def only_series(study: Path, series_uid: str, folder: Path) -> Path:
    """Copy one series of a study."""
    folder.mkdir()
    for number, file in enumerate(sorted(p for p in study.rglob("*") if p.is_file())):
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
        except pydicom.errors.InvalidDicomError:
            continue
        if header.get("SeriesInstanceUID") == series_uid:
            shutil.copy(file, folder / f"{number:05}.dcm")
    return folder


def yardstick(study: Path, *, threads: int) -> dict:
    """One pass of nnU-Net's network over the T2 volume."""
    image = read_study(study).case.images[Sequence.T2]
    wall_s, plan = nnunet_seconds(
        np.asarray(image.array), image.grid.spacing_mm, classes=len(Structure), threads=threads
    )
    return {"wall_s": wall_s, "shape": list(image.grid.shape), "patch": plan.patch, "strides": plan.strides}


def measure(folder: Path, *, seed: int, runs: int, threads: int) -> dict:
    """Make the study and measure everything."""
    patient = folder / "patient"
    simulated_s, _ = timed([*SPONDYL, "simulate", "patient", "--out", str(patient), "--seed", str(seed)])
    study = patient / "dicom" if (patient / "dicom").is_dir() else patient
    whole = analyses(study, folder / "whole", runs=runs, threads=threads)
    uids = {
        s["sequence"]: s["series_uid"] for s in read_result(folder / "whole")["sequences"] if s["role"] == "primary"
    }
    alone = only_series(study, uids["T2"], folder / "alone")
    return {
        "data": f"synthetic lumbar study, seed {seed}, made by spondyl {__version__}",
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {threads} threads used",
        "load_before": os.getloadavg()[0],
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "simulated_s": simulated_s,
        "one": analyses(alone, folder / "one", runs=runs, threads=threads),
        "whole": whole,
        "warm": warm(study, folder, runs=runs, threads=threads),
        "nnunet": yardstick(alone, threads=threads),
    }


def rows(columns: tuple[dict, ...]) -> list[str]:
    """The figures of several measurements, one a column."""
    lines = {
        "sequences": [" ".join(c["sequences"]) for c in columns],
        "start to files, median, s": [f"{c['wall_s']:.2f}" for c in columns],
        "all runs, s": [str(c["wall_s_all"]) for c in columns],
        "peak memory, GiB": [f"{c['peak_gib']:.2f}" for c in columns],
    }
    for part in dict.fromkeys(part for c in columns for part in c["parts_s"]):
        lines[f"of it {part}, s"] = [f"{c['parts_s'].get(part, 0):.2f}" for c in columns]
    return [f"| {name} | {' | '.join(cells)} |" for name, cells in lines.items()]


def warm_alone(arguments: argparse.Namespace, folder: Path) -> str:
    """The warm process by itself, as Markdown."""
    study, words = arguments.study, "the given study"
    if study is None:
        from spondyl.app.simulate import write_study
        from spondyl.phantom.patient import PatientSettings, simulate_patient

        study, settings = folder / "patient", PatientSettings(composed=True)  # of stations, one image each
        write_study(simulate_patient(arguments.seed, region=arguments.region, settings=settings), study)
        words = f"synthetic {arguments.region} study, seed {arguments.seed}"
    found = warm(study, folder, runs=arguments.runs, threads=arguments.threads)
    head = [f"Data: {words}, {found['shapes']}; {found['vertebrae']} vertebrae.", "", "| | warm process |", "|---|---|"]
    return "\n".join([*head, *rows((found,))])


def table(measured: dict) -> str:
    """The figures as Markdown."""
    one, whole, nnunet = measured["one"], measured["whole"], measured["nnunet"]
    loaded = measured["warm"]
    lines = [
        f"Data: {measured['data']} ({measured['simulated_s']:.1f} s).",
        f"Machine: {measured['machine']}; load before: {measured['load_before']:.2f}.",
        "Versions: " + ", ".join(f"{name} {v}" for name, v in measured["versions"].items()) + ".",
        "",
        f"| | {len(one['sequences'])} sequence | {len(whole['sequences'])} sequences | the same, warm process |",
        "|---|---|---|---|",
        *rows((one, whole, loaded)),
    ]
    lines += [
        "",
        f"nnU-Net's 3D full-resolution network, random weights, sliding window, no mirroring, on the T2 volume "
        f"{tuple(nnunet['shape'])}, patch {tuple(nnunet['patch'])}: {nnunet['wall_s']:.2f} s for the network alone.",
        f"Ratio nnU-Net's network / whole analysis of that volume: {nnunet['wall_s'] / one['wall_s']:.2f}.",
    ]
    if (step := one["parts_s"].get("localize")) is not None:
        lines.append(f"Ratio nnU-Net's network / step localize: {nnunet['wall_s'] / step:.2f}.")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1_000_001)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--warm", action="store_true", help="measure the warm process alone")
    parser.add_argument("--study", type=Path, help="with --warm: this study instead of a synthetic one")
    parser.add_argument("--region", default="lumbar", help="with --warm: what the synthetic study shows")
    arguments = parser.parse_args()
    if arguments.warm:
        with tempfile.TemporaryDirectory(prefix="spondyl-benchmark-") as folder:
            print(warm_alone(arguments, Path(folder)))
        return
    with tempfile.TemporaryDirectory(prefix="spondyl-benchmark-") as folder:
        measured = measure(Path(folder), seed=arguments.seed, runs=arguments.runs, threads=arguments.threads)
    print(table(measured))
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
