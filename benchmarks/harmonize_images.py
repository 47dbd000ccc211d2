"""Synthetic travelling subjects: how far do tissues differ between scanners, before and after, and what is kept?

    python benchmarks/harmonize_images.py --patients 4 --more 10

Every patient lies on eight synthetic scanners of four vendors, at 1.5 and 3 T, each with its own timing, coil, noise,
gain, placement and imperfections; the anatomy and its tissues stay the same. Outlines are the true ones, so that
harmonization is measured and not localization. Printed are, for each way of scaling,

1. the coefficient of variation between scanners of each tissue's mean signal, median over the patients;
2. how far the contrast of lesion to normal marrow (mean signal over median signal, as the step measures them) lies from
   its true value: that of the same slices at the reference acquisition without noise, coil or other imperfection.
   Lesions with less than a quarter of the marrow's signal are also counted apart: what is nearly black has noise and
   ghosts for its signal, and their share of it has no bound;
3. how often 90 % intervals of a harmonized feature hold the patient's value, on the same and more patients. Features
   are mean signals of tissues on the aligned images and in ADC; `HarmonySpine` learns scanners and repeatability from
   all patients but one, and is asked about that one. His value is taken from the other scanners, whose own noise the
   interval has to cover, too.

Tissue in front of the column is left out: saturation bands are laid there to take its signal away.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from spondyl import __version__
from spondyl.core import Case, Sequence
from spondyl.core.findings import Lesion
from spondyl.harmonize.align import scaled_images
from spondyl.harmonize.bias import bias_field, foreground
from spondyl.harmonize.contrast import reference_of
from spondyl.harmonize.even import Even, even_images
from spondyl.harmonize.harmony_spine import HarmonySpine
from spondyl.harmonize.prominence import normal_marrow
from spondyl.phantom.anatomy import build_anatomy
from spondyl.phantom.bench import Artifacts
from spondyl.phantom.patient import EXTENT_MM, SPACING_MM, labels_on, scan_study
from spondyl.phantom.placement import cut, find_landmarks
from spondyl.phantom.protocol import sample_protocol
from spondyl.phantom.relaxation import sample_parameters
from spondyl.phantom.tissue import Tissue

SCANNERS = [(v, f) for v in ("siemens", "ge", "philips", "canon") for f in (1.5, 3.0)]
SEQUENCES = (Sequence.T1, Sequence.T2, Sequence.STIR)
TAKEN = (*SEQUENCES, Sequence.DWI)
FIRST_SEED = 10_000_000
"""Seeds from here are benchmarks': never used in training."""

PERFECT = Artifacts(ghosting=0.0, bulk_motion=0.0, fat_failure=0.0, distortion_mm=0.0, noise=0.0, shading=0.0)
TISSUES = {
    "marrow": (Tissue.MARROW,),
    "CSF": (Tissue.CSF,),
    "disc": (Tissue.NUCLEUS, Tissue.DISC_INTERMEDIATE, Tissue.DISC_DRY),
    "muscle": (Tissue.MUSCLE,),
    "fat": (Tissue.SUBCUTANEOUS_FAT,),
    "cord": (Tissue.CORD,),
}
AS_MEASURED, HARMONIZED = "as measured", "coil, tissues, equations"
WAYS = (AS_MEASURED, "N4 alone", "coil, percentiles", "coil, tissues", HARMONIZED)
MARROW = "normal marrow"
"""Inside the bodies and away from lesions, as the step finds it."""

DARK = 0.25
"""Lesions with less than this share of the marrow's signal count as dark."""

COVERED = 1.6449
"""Standard deviations on both sides of a 90 % interval."""

FEWEST_PATIENTS = 6
"""Patients from which repeatability on eight scanners can be learned with one left out."""


def patient(seed: int):
    """Anatomy and the draws of its tissues, the same at every field strength."""
    wide, tall, deep = EXTENT_MM["lumbar"]
    anatomy = build_anatomy(seed, spacing_mm=SPACING_MM[True], extent_mm=(wide, tall, deep), lesions="malignant")

    def parameters(field: float):
        rng = np.random.default_rng([seed, 10])
        person = anatomy.person
        return sample_parameters(rng, field_strength_t=field, age_years=person.age_years, female=person.female)

    return anatomy, parameters


def protocols(number: int):
    """What one scanner is set to: the same for every patient."""
    rng = np.random.default_rng([FIRST_SEED, 20, number])
    return [sample_protocol(rng, s, *SCANNERS[number]) for s in TAKEN]


def at_reference(protocol):
    """The same slices at the reference acquisition."""
    own = protocol.acquisition
    reference = reference_of(protocol.sequence, own)
    names = ("field_strength_t", "echo_time_ms", "repetition_time_ms", "inversion_time_ms", "echo_train_length")
    timing = {name: getattr(reference, name) for name in names}
    return replace(protocol, acquisition=replace(own, **timing), saturation_band=0.0)


def case_of(anatomy, images) -> Case:
    """A study with true outlines; of two b-values the higher one, as the reader chooses."""
    by_sequence = {i.sequence: i for i in images}
    labels = labels_on(anatomy, by_sequence[Sequence.T2].grid)
    found = [int(v) for v in np.unique(labels["lesions"].array) if v]
    lesions = tuple(Lesion(v, None, None, 1.0, 1.0, (0, 0, 0), {"malignant": 1.0}, 1.0, 0.0, ()) for v in found)
    return Case("case-bench", by_sequence, reference=Sequence.T2, labels=labels, lesions=lesions)


def other_ways(case: Case, even: Even) -> dict:
    """The images of a study as measured, and scaled in ways to compare with."""
    raw = even_images(case, correct_bias=False).views
    n4 = {}
    for s in SEQUENCES:
        seen, spacing = np.nan_to_num(raw.arrays[s]), raw.grid.spacing_mm
        n4[s] = raw.arrays[s] / bias_field(seen, spacing, foreground(seen, spacing))
    scaled = {
        f"coil, {name}": {s: a.values for s, a in scaled_images(case, even, scale)[0].items()}
        for name, scale in (("percentiles", "percentile"), ("tissues", "tissue"))
    }
    return {AS_MEASURED: raw.arrays, "N4 alone": n4, **scaled}


def masks_of(anatomy, case: Case) -> dict:
    """Where each tissue and the lesions are."""
    lesion, grid = case.labels["lesions"].array, case.labels["lesions"].grid
    tissue = cut(anatomy.tissue, anatomy.grid, grid)
    places = grid.ijk_to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))
    landmarks = find_landmarks(anatomy.grid, anatomy.tissue, anatomy.structure)
    near = landmarks.front_distance_mm(places) <= 0
    masks = {name: np.isin(tissue, values) & (lesion == 0) & near for name, values in TISSUES.items()}
    return masks | {"lesion": lesion > 0, MARROW: normal_marrow(case) & near}


def means(arrays: dict, masks: dict) -> dict:
    """Mean signal of each tissue on each sequence; of the normal marrow that lesions are compared with, the median."""
    return {
        s: {
            n: float((np.median if n == MARROW else np.mean)(arrays[s][m & np.isfinite(arrays[s])]))
            for n, m in masks.items()
            if m.sum() > 30
        }
        for s in SEQUENCES
    }


def features(arrays: dict, masks: dict) -> dict[str, float]:
    """What a study would give to a table: mean signals by sequence and tissue."""
    wanted = [(s, t) for s in SEQUENCES for t in ("marrow", "disc", "muscle")] + [(Sequence.ADC, "marrow")]
    found = {}
    for s, t in wanted:
        values = arrays[s][masks[t] & np.isfinite(arrays[s])]
        found[f"{s}_{t}"] = float(np.mean(values)) if values.size > 100 else np.nan
    return found


def run_patient(seed: int, *, with_truth: bool) -> tuple[dict, list[dict], float]:
    """Scan one patient on every scanner; tissue means, rows of the table of features, and seconds of the step."""
    anatomy, parameters = patient(seed)
    found, true, rows, spent = {way: [] for way in WAYS}, [], [], 0.0
    for number, (vendor, field) in enumerate(SCANNERS):
        taken, visit = protocols(number), {"seed": seed, "visit": number + 1}
        case = case_of(anatomy, scan_study(anatomy, parameters(field), taken, **visit)[0])
        masks = masks_of(anatomy, case)
        started = time.process_time()
        even = even_images(case)
        aligned, _ = scaled_images(case, even, "physics")
        spent += time.process_time() - started
        arrays = {s: a.values for s, a in aligned.items()}
        rows.append({"patient": f"p{seed}", "scanner": f"{vendor} {field} T", **features(arrays, masks)})
        if not with_truth:
            continue
        for way, of_way in (other_ways(case, even) | {HARMONIZED: arrays}).items():
            found[way].append(means(of_way, masks))
        perfect = [at_reference(p) for p in taken if p.sequence in SEQUENCES]
        images, _ = scan_study(anatomy, parameters(1.5), perfect, **visit, artifacts=PERFECT)
        ideal = case_of(anatomy, images)
        true.append(means(even_images(ideal, correct_bias=False).views.arrays, masks_of(anatomy, ideal)))
    print(f"patient {seed}: {time.process_time():.0f} s", file=sys.stderr, flush=True)
    return {"found": found, "true": true}, rows, spent


def run_kept(job: tuple[int, bool, str]) -> tuple[dict, list[dict], float]:
    """The same, from an earlier run of this version where its file is in the folder."""
    seed, with_truth, folder = job
    file = Path(folder) / f"{seed}-{with_truth}.json"
    if folder and file.is_file():
        result, rows, spent = json.loads(file.read_text(encoding="utf-8"))
        return result, rows, spent
    done = run_patient(seed, with_truth=with_truth)
    if folder:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(done), encoding="utf-8")
    return done


def run(n_patients: int, more: int, jobs: int, folder: str = "") -> tuple[list[dict], pd.DataFrame, float]:
    """Scan every patient on every scanner; tissue means, the table of features, and seconds a study."""
    seeds = range(FIRST_SEED, FIRST_SEED + n_patients + more)
    work = [(seed, seed < FIRST_SEED + n_patients, folder) for seed in seeds]
    if jobs > 1:
        with ProcessPoolExecutor(jobs) as pool:
            done = list(pool.map(run_kept, work))
    else:
        done = list(map(run_kept, work))
    rows = [row for _, of_patient, _ in done for row in of_patient]
    spent = sum(seconds for *_, seconds in done)
    return [result for result, *_ in done[:n_patients]], pd.DataFrame(rows), spent / len(rows)


def variation(values: list[float]) -> float:
    """Coefficient of variation."""
    return float(np.std(values, ddof=1) / abs(np.mean(values)))


def summary(results: list[dict]) -> dict:
    """Variation of tissues and error of contrast, by way and sequence."""
    table = {}
    for way in WAYS:
        for s in SEQUENCES:
            seen = [t for t in TISSUES if all(t in f[s] for r in results for f in r["found"][way])]
            cvs = {t: float(np.median([variation([f[s][t] for f in r["found"][way]]) for r in results])) for t in seen}
            with_lesion = [r for r in results if all("lesion" in t[s] for t in r["true"] + r["found"][way])]
            true = np.array([[_contrast(t[s]) for t in r["true"]] for r in with_lesion])
            got = np.array([[_contrast(f[s]) for f in r["found"][way]] for r in with_lesion])
            errors, dark = got / true - 1, true < DARK
            table[f"{way} / {s}"] = {
                "tissue_cv": cvs,
                "mean_cv": float(np.mean(list(cvs.values()))),
                "contrast_error_mean": float(errors.mean()),
                "contrast_error_abs_median": float(np.median(np.abs(errors))),
                "contrast_error_abs_p90": float(np.quantile(np.abs(errors), 0.9)),
                "contrast_error_abs_median_not_dark": float(np.median(np.abs(errors[~dark])))
                if (~dark).any()
                else np.nan,
                "contrast_error_of_marrow": float(np.median(np.abs(got - true))),
                "dark": int(dark.sum()),
                "by_patient": np.median(np.abs(errors), axis=1).tolist(),
            }
    return table


def _contrast(signals: dict[str, float]) -> float:
    return signals["lesion"] / signals[MARROW]


def coverage(table: pd.DataFrame) -> dict[str, float]:
    """Share of 90 % intervals that hold the value of the left-out patient, by feature."""
    if table.patient.nunique() < FEWEST_PATIENTS:
        print(f"Intervals want {FEWEST_PATIENTS} patients or more; add some with --more.")
        return {}
    names = [c for c in table.columns if c not in ("patient", "scanner")]
    inside: dict[str, list[bool]] = {n: [] for n in names}
    widths: dict[str, list[float]] = {n: [] for n in names}
    for left_out in table.patient.unique():
        train, test = table[table.patient != left_out], table[table.patient == left_out]
        model = HarmonySpine(site="scanner", subject="patient").fit(train)
        got = model.harmonize(test)
        spread = train.groupby("patient")[names].mean().std()
        for column, name in enumerate(got.names):
            values, sd, known = got.values[:, column], got.sd[:, column], ~got.predicted[:, column]
            for row in np.flatnonzero(known):
                others = known & (np.arange(len(test)) != row)
                if others.sum() < 4:
                    continue
                both = np.hypot(sd[row], np.sqrt(np.sum(sd[others] ** 2)) / others.sum())
                inside[name].append(abs(values[row] - values[others].mean()) <= COVERED * both)
                widths[name].append(sd[row] / spread[name])
    print("| feature | intervals | 90 % intervals hold the value in | median sd over spread between patients |")
    for n in names:
        print(f"| {n} | {len(inside[n])} | {np.mean(inside[n]):.1%} | {np.median(widths[n]):.2f} |")
    everything = np.mean([v for n in names for v in inside[n]])
    print(f"| all | {sum(map(len, inside.values()))} | {everything:.1%} | |")
    return {n: float(np.mean(inside[n])) for n in names} | {"all": float(everything)}


def report(results: list[dict], measured: pd.DataFrame, seconds: float) -> dict:
    """Print all figures."""
    table = summary(results)
    print(f"Data: {len(results)} synthetic patients (intervals: {measured.patient.nunique()}) on "
          f"{len(SCANNERS)} scanners, seeds from {FIRST_SEED}.")  # fmt: skip
    print(f"Versions: python {platform.python_version()}, spondyl {__version__}, numpy {version('numpy')},")
    print(f"SimpleITK {version('SimpleITK')}. The way of the step took {seconds:.1f} s of CPU a study.\n")
    head = "contrast error: mean | median abs | p90 abs | median abs, lesions not dark | median abs, of marrow"
    print(f"| scale / sequence | mean CV | {' | '.join(TISSUES)} | {head} | by patient |")
    for name, row in table.items():
        cells = [f"{row['tissue_cv'].get(t, float('nan')):.3f}" for t in TISSUES]
        keys = ("mean", "abs_median", "abs_p90", "abs_median_not_dark", "of_marrow")
        tail = [f"{row[f'contrast_error_{k}']:+.1%}" for k in keys]
        tail.append(", ".join(f"{v:.0%}" for v in row["by_patient"]))
        print(f"| {name} | {row['mean_cv']:.3f} | " + " | ".join(cells + tail) + " |")
    before, after = (np.mean([table[f"{w} / {s}"]["mean_cv"] for s in SEQUENCES]) for w in (AS_MEASURED, HARMONIZED))
    print(f"\nVariation between scanners, mean over tissues and sequences: {before:.3f} to {after:.3f}, "
          f"a fall by {1 - after / before:.0%}.\n")  # fmt: skip
    covered = coverage(measured)
    return {"images": table, "coverage": covered}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--patients", type=int, default=4, help="for the images")
    parser.add_argument("--more", type=int, default=10, help="further ones for the intervals")
    parser.add_argument("--jobs", type=int, default=1, help="patients at once, each in a process of its own")
    parser.add_argument("--keep", default="", help="folder for finished patients, so that a run can be cut in parts")
    parser.add_argument("--json", help="also write the figures here")
    arguments = parser.parse_args()
    results, measured, seconds = run(arguments.patients, arguments.more, arguments.jobs, arguments.keep)
    figures = report(results, measured, seconds)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
