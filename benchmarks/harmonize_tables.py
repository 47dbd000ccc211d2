"""Tables: equal to the reference programs, how fast beside others, and what scanners still explain in real data.

    python benchmarks/harmonize_tables.py --data FOLDER --others ENV/bin/python

``FOLDER/harmonization`` holds the reference outputs of ComBat and the cord morphometry of 43 sites (PAM50 normalized
metrics, Valošek 2024). ``ENV`` is an environment of its own with neuroHarmonize, which brings neuroCombat and an older
numpy::

    python -m venv ENV && ENV/bin/pip install "numpy<2" neuroHarmonize

Parts can be left out: without ``--data`` only speed is measured, without ``--others`` only ours.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time
import tracemalloc
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from spondyl import __version__
from spondyl.harmonize.combat import ComBatSettings, Scanners, apply_combat, fit_combat
from spondyl.harmonize.effects import explained_by_covariates
from spondyl.harmonize.harmony_spine import HarmonySpine
from spondyl.harmonize.probes import probe, probe_task
from spondyl.harmonize.unseen import UnseenSettings

VARIANTS = {
    "": {},
    "_meanonly": {"mean_only": True},
    "_noeb": {"shrink": False},
    "_noeb_meanonly": {"shrink": False, "mean_only": True},
}
SIZE = (1000, 10_000, 10)
SMOOTH_FEATURES = 20
"""Features on which the others' spline covariates are timed; their time grows in proportion."""

OTHERS = """
import json, sys, time, numpy as np, pandas as pd
from importlib.metadata import version
from neuroCombat import neuroCombat
from neuroHarmonize import harmonizationLearn
n, p, k, few = map(int, sys.argv[1:5])
rng = np.random.default_rng(0)
site = np.arange(n) % k
values = rng.normal(size=(n, p)) + rng.normal(size=(k, p))[site]
age = rng.uniform(20, 80, n)
out = {name: version(name) for name in ("neuroCombat", "neuroHarmonize", "numpy", "statsmodels")}
out["python"] = sys.version.split()[0]
covariates = pd.DataFrame({"SITE": [f"s{i}" for i in site], "AGE": age})
def timed(f):
    start = time.process_time(); f(); return time.process_time() - start
out["neuroHarmonize_s"] = min(timed(lambda: harmonizationLearn(values, covariates)) for _ in range(2))
frame = pd.DataFrame({"site": site, "age": age})
combat = lambda: neuroCombat(values.T, frame, "site", continuous_cols=["age"])
out["neuroCombat_s"] = min(timed(combat) for _ in range(2))
smooth = lambda: harmonizationLearn(values[:, :few], covariates, smooth_terms=["AGE"])
out["neuroHarmonize_smooth_s"] = timed(smooth)
print("RESULT" + json.dumps(out))
"""


def references(folder: Path) -> None:
    """Largest difference to each output of the reference programs."""
    testing = folder / "combat_reference" / "Testing"
    values = pd.read_csv(testing / "inputData" / "testdata.csv").to_numpy().T
    codes = np.repeat([0, 1], 5)
    print("| reference output | largest difference |\n|---|---|")
    for language in ("r", "python"):
        for adjusted in (True, False):
            for suffix, settings in VARIANTS.items():
                name = f"testdata_combat_parametric_{'adjusted' if adjusted else 'unadjusted'}{suffix}_{language}.csv"
                header = 0 if language == "r" else None
                wanted = pd.read_csv(testing / "outputData" / name, header=header).to_numpy()
                columns = np.tile([-0.5, 0.5], 5)[:, None][:, : int(adjusted)]
                fit = fit_combat(values, Scanners(("1", "2"), codes), columns, ComBatSettings(**settings))
                print(f"| {name} | {np.abs(apply_combat(fit, values, codes, columns).T - wanted).max():.1e} |")


def timed(function, repeats: int = 3) -> float:
    """Least CPU time in s."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        seconds.append(time.process_time() - start)
    return min(seconds)


def _one_patient(table: pd.DataFrame, obs: pd.DataFrame) -> float:
    """CPU time in s to harmonize a patient who comes alone, as a table of one row."""
    model = HarmonySpine(keep=["age"]).fit(table, obs=obs)
    one, who = table.iloc[:1], obs.iloc[:1]
    return timed(lambda: [model.transform(one, obs=who) for _ in range(50)]) / 50


def _peak_copies(table: pd.DataFrame, obs: pd.DataFrame) -> float:
    """Most memory held at once while learning and harmonizing, the table given among it, in sizes of the table."""
    size = table.to_numpy().nbytes
    tracemalloc.start()
    HarmonySpine(keep=["age"]).fit(table, obs=obs).transform(table, obs=obs)
    peak = tracemalloc.get_traced_memory()[1] / size
    tracemalloc.stop()
    return 1 + peak


def speed(others: str) -> None:
    """Our time, and that of others on the same table."""
    n, p, k = SIZE
    rng = np.random.default_rng(0)
    codes = np.arange(n) % k
    values = rng.normal(size=(n, p)) + rng.normal(size=(k, p))[codes]
    age = rng.uniform(20, 80, n)
    table = pd.DataFrame(values, columns=[f"f{i}" for i in range(p)])
    obs = pd.DataFrame({"site": [f"s{i}" for i in codes], "age": age})
    own = timed(lambda: HarmonySpine(keep=["age"], dimension=None).fit_transform(table, obs=obs))
    with_space = timed(lambda: HarmonySpine(keep=["age"]).fit_transform(table, obs=obs))
    one = {m: _one_patient(table.iloc[:, :m], obs) for m in (50, 1000, p)}
    few = table.iloc[:, :1000]
    smooth = timed(lambda: HarmonySpine(smooth=["age"], dimension=None).fit_transform(few, obs=obs))
    print(f"\nTable of {n} patients, {p} features, {k} sites, one covariate; CPU time, best of 3 (others: of 2).")
    print(f"| ours: learn and apply | {own:.2f} s |")
    print(f"| ours: with the harmonization space, too | {with_space:.2f} s |")
    print(f"| ours: most memory, the table given among it | {_peak_copies(table, obs):.1f} times the table |")
    for m, seconds in one.items():
        print(f"| ours: one patient, {m} features | {1000 * seconds:.2f} ms |")
    print(f"| ours: learn and apply with a spline covariate, 1000 features | {smooth:.2f} s |")
    if not others:
        return
    command = [others, "-W", "ignore", "-c", OTHERS, *map(str, (*SIZE, SMOOTH_FEATURES))]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = json.loads(words.partition("RESULT")[2])
    print(f"Others: python {found['python']}, numpy {found['numpy']}, statsmodels {found['statsmodels']}.")
    for name in ("neuroHarmonize", "neuroCombat"):
        seconds = found[f"{name}_s"]
        print(f"| {name} {found[name]} | {seconds:.2f} s, {seconds / own:.1f} times ours |")
    each, ours = found["neuroHarmonize_smooth_s"] / SMOOTH_FEATURES, smooth / 1000
    print(f"| neuroHarmonize, spline covariate | {each:.4f} s a feature, {each / ours:.0f} times ours |")


NESTED, FLAT = ["manufacturer", "site"], "site"
"""Vendor first, then site; and site alone, to compare."""


def cord_table(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Areas of cord and canal with vendor, site, sex and age; and the names of the features."""
    rows = pd.read_csv(folder / "cord_morphometry_43_sites" / "derived_summary.csv")
    rows = rows[rows.level <= 10].assign(name=rows.structure + "_" + rows.level.astype(str))
    features = rows.pivot_table(index="participant_id", columns="name", values="mean_area_mm2")
    obs = rows.groupby("participant_id")[["site", "manufacturer", "sex", "age"]].first().loc[features.index]
    table = features.join(obs).dropna(subset=["sex", "age", "site"]).reset_index(drop=True)
    return table[table.groupby("site").site.transform("size") >= 2].reset_index(drop=True), list(features.columns)


class CordModel:
    """Harmonization of the cord table by site alone, or by vendor and then site."""

    def __init__(self, table: pd.DataFrame, names: list[str], site: str | list[str]) -> None:
        self.table, self.site = table, site
        self.n_variables = 1 if isinstance(site, str) else len(site)
        self.done: dict[str, np.ndarray] = {}
        self.used = [*names, "sex", "age", *([site] if isinstance(site, str) else site)]

    def model(self, unseen: str | UnseenSettings = "refuse") -> HarmonySpine:
        """Not yet fitted."""
        return HarmonySpine(site=self.site, keep=["sex", "age"], dimension=None, unseen=unseen)

    def whole(self) -> np.ndarray:
        """Learned from all patients."""
        return self.model().fit_transform(self.table[self.used])

    def left_out(self, train: np.ndarray, test: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each site as one never seen; with exchanged scanners, the sites of these."""
        done = self.each_left_out(source)
        return done[train], done[test]

    def each_left_out(self, source: np.ndarray | None = None) -> np.ndarray:
        """For each site learned from all others, calibrated with the site's own unlabeled patients."""
        table = self.table[self.used] if source is None else self._exchanged(source)
        key = table.site.str.cat(sep=" ")
        if key not in self.done:
            done = np.empty((len(table), len(self.used) - 2 - self.n_variables))
            for site in table.site.unique():
                own = (table.site == site).to_numpy()
                model = self.model(UnseenSettings("calibrate", min_cases=2)).fit(table[~own])
                done[own] = model.transform(table[own])
            self.done[key] = done
        return self.done[key]

    def _exchanged(self, source: np.ndarray) -> pd.DataFrame:
        exchanged = self.table[self.used].iloc[: len(source)].copy()
        of_scanner = [c for c in NESTED if c in self.used]
        exchanged[of_scanner] = self.table[of_scanner].iloc[source].to_numpy()
        return exchanged

    def in_fold(self, train: np.ndarray, test: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Learned from the training part of a fold alone; with exchanged scanners, from these."""
        exchanged = self._exchanged(source)
        fitted = self.model("pooled").fit(exchanged.iloc[train])
        return fitted.transform(exchanged.iloc[train]), fitted.transform(exchanged.iloc[test])


def cord(folder: Path, permutations: int) -> None:
    """Probes of vendor and site, and the effect of sex, before and after."""
    table, names = cord_table(folder)
    print(f"\nCord morphometry: {len(table)} adults, {table.site.nunique()} sites, {len(names)} features; "
          f"{permutations} exchanges of scanners for the band of chance.")  # fmt: skip
    nested, flat = CordModel(table, names, NESTED), CordModel(table, names, FLAT)
    states = {
        "as measured": table[names].to_numpy(float),
        "vendor and site, site left out": nested.left_out,
        "vendor and site, in fold": nested.in_fold,
        "site alone, in fold": flat.in_fold,
    }
    print("| probe | of | table | balanced accuracy | band of chance | p | inside |\n|---|---|---|---|---|---|---|")
    for of in ("manufacturer", "site"):
        task = probe_task(table[of].to_numpy())
        for kind in ("linear", "boosted"):
            for state, values in states.items():
                s = probe(values, task, kind, n_permutations=permutations)
                inside = "yes" if s.low <= s.balanced_accuracy <= s.high else "below" if not s.above_chance else "no"
                numbers = f"{s.balanced_accuracy:.2f} | {s.low:.2f} to {s.high:.2f} | {s.p_value:.2f}"
                print(f"| {kind} | {of} | {state} | {numbers} | {inside} |", flush=True)
    model = nested.model().fit(table[nested.used])
    columns, _ = model.covariates_.columns(table)
    tables = {
        "as measured": table[names].to_numpy(float),
        "vendor and site, site left out": nested.each_left_out(),
        "vendor and site, whole table": nested.whole(),
    }
    for state, values in tables.items():
        share = explained_by_covariates(values, model.covariates_, columns)["sex"].share
        median, mean = np.nanmedian(share), np.nanmean(share)
        print(f"sex explains, {state}: {median:.4f} of a feature (median), {mean:.4f} (mean)")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with the reference and real data")
    parser.add_argument("--others", default="", help="Python of an environment with neuroHarmonize")
    parser.add_argument("--permutations", type=int, default=20)
    arguments = parser.parse_args()
    print(f"python {platform.python_version()}, spondyl {__version__}, numpy {version('numpy')}\n")
    if arguments.data:
        references(arguments.data / "harmonization")
    speed(arguments.others)
    if arguments.data:
        cord(arguments.data / "harmonization", arguments.permutations)


if __name__ == "__main__":
    main()
