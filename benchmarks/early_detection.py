"""Early disease of vertebrae and the time to events, on synthetic patients and scanners that no fit has seen.

``python benchmarks/early_detection.py early|events|images [--train N] [--test N] [--seed S]`` prints what
docs/how-to/predict-risk.md quotes. ``early`` compares the shipped kind of model with baselines at one study, a rule as
a radiologist would state it, and boosted trees; ``events`` measures time to an overt lesion, compression or fracture
with death competing; ``images`` holds the marrow cells that cohorts are made of against whole images.
"""

from __future__ import annotations

import argparse
import platform
import time

import numpy as np
import pandas as pd
import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from spondyl import __version__
from spondyl.core.marrow import (
    FACTS,
    HELD,
    SIGNS,
    SINCE_FIRST,
    SINCE_LAST,
    TREND,
    VISIT_SIGNS,
    WHOLE_SIGNS,
    visit_signs,
)
from spondyl.evaluation.bootstrap import Resampling, bootstrap, percentile_estimate
from spondyl.evaluation.calibration import calibration
from spondyl.evaluation.competing import competing_brier, competing_calibration
from spondyl.evaluation.decision import decision_curve
from spondyl.evaluation.kaplan_meier import KaplanMeier
from spondyl.evaluation.survival import Outcome, harrell_c
from spondyl.phantom.cohort import SEEN_SCANNERS, UNSEEN_SCANNERS, Purpose, cohort_seeds
from spondyl.phantom.course import simulate_course
from spondyl.phantom.marrow_cells import draw_marrow
from spondyl.phantom.patient import PatientSettings
from spondyl.phantom.person import sample_person
from spondyl.phantom.protocol import LUMBAR_SEQUENCES
from spondyl.phantom.schedule import DAYS_PER_MONTH, PlannedVisit, ScheduleSettings
from spondyl.phantom.surveillance import OVERT, SUBTHRESHOLD, SurveillanceSettings, simulate_surveillance
from spondyl.pipeline.truth import true_case
from spondyl.risk.competing import CompetingRisks
from spondyl.risk.early import EarlyDisease
from spondyl.risk.ensemble import SurvivalEnsemble, standard_learners
from spondyl.risk.intervals import time_intervals
from spondyl.risk.marrow import body_places, body_signals, moved_places
from spondyl.risk.outcome import follow_up, step

SPECIFICITY = 0.9
"""At which sensitivities are compared."""

RESAMPLES = 400
"""Patients are drawn anew this often."""

EVERY_SIGN = (*SIGNS, *WHOLE_SIGNS)
VISITS = ("days_since_last", "earlier")
FEATURES = (*VISIT_SIGNS, *VISITS, *FACTS)
CHANGES = {
    "change since the last study": SINCE_LAST,
    "change since the first study": SINCE_FIRST,
    "change that has held on": HELD,
    "change as of growth": TREND,
}
BLOCKS = {"one study": EVERY_SIGN, "facts": (*FACTS, *VISITS)}
BLOCKS |= {name: tuple(prefix + sign for sign in EVERY_SIGN) for name, prefix in CHANGES.items()}
BLOCKS["images over time, with facts"] = FEATURES
MAIN = ("facts", "images over time, with facts")
PLACE = {name: i for i, name in enumerate(FEATURES)}


def cohorts(n_train: int, n_test: int, seed: int):
    """Patients to learn from on some scanners, and to test on others."""
    first = cohort_seeds(Purpose.VALIDATION, 1, first=seed)[0]
    last = cohort_seeds(Purpose.BENCHMARK, 1, first=seed)[0]
    unseen = SurveillanceSettings(ScheduleSettings(scanners=UNSEEN_SCANNERS))
    return simulate_surveillance(n_train, first), simulate_surveillance(n_test, last, unseen)


def asked(cohort) -> pd.DataFrame:
    """Vertebrae without an overt lesion, at visits with an earlier one."""
    rows = cohort.rows
    return rows[(rows.earlier > 0) & (rows.state != OVERT)].reset_index(drop=True)


def matrix(rows: pd.DataFrame) -> np.ndarray:
    return rows[list(FEATURES)].to_numpy(float)


def columns(*names: str) -> list[int]:
    return [PLACE[c] for name in names for c in BLOCKS[name]]


def fused(*names: str):
    return EarlyDisease({name: columns(name) for name in names})


def boosted(seed: int = 0):
    return HistGradientBoostingClassifier(
        max_iter=150,
        learning_rate=0.05,
        max_leaf_nodes=8,
        min_samples_leaf=40,
        l2_regularization=1.0,
        random_state=seed,
    )


def rule(prefix: str):
    """Darker on T1 and brighter on STIR at once: the score is by how much both are; one alone counts half."""

    def score(rows: pd.DataFrame) -> np.ndarray:
        t1, stir = -rows[f"{prefix}t1_dark"].to_numpy(), rows[f"{prefix}stir_bright"].to_numpy()
        both = np.minimum(t1, stir)
        one = 0.5 * np.fmax(t1, stir)
        return np.nan_to_num(np.where(np.isfinite(both), both, one), nan=0.0)

    return score


def predictions(train: pd.DataFrame, test: pd.DataFrame):
    """Scores of every model on the test rows, and the fitted late fusion."""
    x, y, who = matrix(train), (train.state == SUBTHRESHOLD).to_numpy(), train.patient.to_numpy()
    new = matrix(test)
    found = {}
    for name, blocks in (("facts alone, fused", ("facts",)), ("one study, fused", ("one study",))):
        found[name] = fused(*blocks).fit(x, y, groups=who).predict_proba(new)[:, 1]
    one, every = columns("one study"), list(range(len(FEATURES)))
    with_facts = columns("one study", "facts")
    forest = RandomForestClassifier(300, min_samples_leaf=8, random_state=0)
    for name, model, own in (
        ("one study, boosted trees", boosted(), one),
        ("one study, random forest", forest, one),
        (ONE_STUDY_AND_FACTS, boosted(), with_facts),
        ("everything, boosted trees", boosted(), every),
    ):
        found[name] = model.fit(x[:, own], y).predict_proba(new[:, own])[:, 1]
    found["rule at one study"] = rule("")(test)
    found["rule against the last study"] = rule(SINCE_LAST)(test)
    found["change alone, fused"] = fused(*CHANGES).fit(x, y, groups=who).predict_proba(new)[:, 1]
    main = fused(*MAIN).fit(x, y, groups=who)
    found[LONGITUDINAL] = main.predict_proba(new)[:, 1]
    return found, main


LONGITUDINAL = "longitudinal, late fusion"

ONE_STUDY = ("one study, fused", "one study, boosted trees", "one study, random forest", "rule at one study")
"""Baselines of images at one time."""

ONE_STUDY_AND_FACTS = "one study and facts, boosted trees"
"""The baseline that knows the facts of the day, too."""


def sensitivity(score: np.ndarray, sick: np.ndarray) -> float:
    if sick.all() or not sick.any():
        return np.nan
    return float((score[sick] > np.quantile(score[~sick], SPECIFICITY)).mean())


def area(score: np.ndarray, sick: np.ndarray) -> float:
    order = np.argsort(np.argsort(score, kind="stable")) + 1
    n = sick.sum()
    return float((order[sick].sum() - n * (n + 1) / 2) / (n * (~sick).sum()))


def run_early(n_train: int, n_test: int, seed: int) -> None:
    """The table of models, and what stands beside it."""
    started = time.perf_counter()
    learned, held = cohorts(n_train, n_test, seed)
    print(f"{time.perf_counter() - started:.0f} s to draw both cohorts")
    train, test = asked(learned), asked(held)
    sick, who = (test.state == SUBTHRESHOLD).to_numpy(), pd.factorize(test.patient)[0]
    for name, rows in (("train", train), ("test", test)):
        n = int((rows.state == SUBTHRESHOLD).sum())
        print(f"{name}: {rows.patient.nunique()} patients, {len(rows)} vertebrae at visits, {n} with early disease")
    started = time.perf_counter()
    found, main = predictions(train, test)
    print(f"{time.perf_counter() - started:.0f} s to fit all models")
    drawn = Resampling(n_resamples=RESAMPLES, seed=seed)
    best = max(ONE_STUDY, key=lambda name: sensitivity(found[name], sick))

    def both(rows):
        own = [sensitivity(p[rows], sick[rows]) for p in found.values()]
        return np.array([*own, *(area(p[rows], sick[rows]) for p in found.values())])

    values, resampled = both(np.arange(len(test))), bootstrap(both, who, drawn)
    names, n = list(found), len(found)
    print(f"sensitivity at {SPECIFICITY:.0%} specificity, area under the ROC curve, calibration slope; 95 % intervals")
    for i, name in enumerate(names):
        s = percentile_estimate(values[i], resampled[:, i], drawn)
        a = percentile_estimate(values[n + i], resampled[:, n + i], drawn)
        line = f"  {name:36} {s}  {a}"
        if "rule" not in name:
            c = calibration(sick, found[name], patients=who)
            line += f"  slope {c.slope}  ICI {c.ici:.4f}"
        print(line)
    for name in (best, ONE_STUDY_AND_FACTS):
        more = resampled[:, names.index(LONGITUDINAL)] - resampled[:, names.index(name)]
        value = values[names.index(LONGITUDINAL)] - values[names.index(name)]
        print(f"{LONGITUDINAL}, less {name}: {percentile_estimate(value, more, drawn)}")
    sets(main, test, sick, who, drawn)
    lead(found[LONGITUDINAL], main, train, test, held)
    shown = {k: found[k] for k in ("facts alone, fused", best, LONGITUDINAL) if "rule" not in k}
    curve = decision_curve(sick, shown, thresholds=(0.05, 0.1, 0.2, 0.3, 0.5), patients=who)
    print(curve.table())


def sets(main, test, sick, who, drawn) -> None:
    """How often the sets hold the truth."""
    inside = main.prediction_sets(matrix(test))
    held = inside[np.arange(len(test)), sick.astype(int)]
    for name, own in (("with early disease", sick), ("without", ~sick)):

        def share(rows, own=own):
            return float(held[rows][own[rows]].mean()) if own[rows].any() else np.nan

        estimate = percentile_estimate(share(np.arange(len(test))), bootstrap(share, who, drawn)[:, 0], drawn)
        print(f"90 % prediction sets hold the truth of vertebrae {name}: {estimate}")
    print(f"sets with one class: {np.mean(inside.sum(axis=1) == 1):.2f}")


def lead(score, main, train, test, held) -> None:
    """How long before they were overt lesions were called, at the threshold that training set."""
    learned = 1 / (1 + np.exp(-main.out_of_fold_))
    sick = test.state == SUBTHRESHOLD
    threshold = np.quantile(learned[(train.state != SUBTHRESHOLD).to_numpy()], SPECIFICITY)
    print(f"threshold from training: specificity {np.mean(score[~sick] <= threshold):.3f} on the test, sensitivity "
          f"{np.mean(score[sick] > threshold):.3f}")  # fmt: skip
    end = held.patients.set_index("patient").end_day
    rows = test.assign(score=score, end=test.patient.map(end).to_numpy())
    rows = rows[sick & (rows.overt_day <= rows.end)]
    leads, called, patients = [], [], []
    for (patient, _), own in rows.groupby(["patient", "vertebra"]):
        flagged = own[own.score > threshold]
        called.append(len(flagged) > 0)
        patients.append(patient)
        leads.append((own.overt_day.iloc[0] - flagged.day.min()) / DAYS_PER_MONTH if len(flagged) else np.nan)
    leads, called, codes = np.array(leads), np.array(called), pd.factorize(np.array(patients))[0]
    drawn = Resampling(n_resamples=RESAMPLES)

    def both(own):
        known = leads[own][called[own]]
        return np.array([called[own].mean(), np.median(known) if len(known) else np.nan])

    values, resampled = both(np.arange(len(leads))), bootstrap(both, codes, drawn)
    print(f"{len(leads)} lesions that became overt and were visited before: called before in "
          f"{percentile_estimate(values[0], resampled[:, 0], drawn)}; median lead of those "
          f"{percentile_estimate(values[1], resampled[:, 1], drawn)} months")  # fmt: skip


EVENT_FEATURES = ("n_suspicious", "worst", "overt_lesions", "age_years", "marker_log", "sclerotic_primary", "months")
"""What is known of a patient at a visit: vertebrae with a probability of early disease above a tenth, the highest such
probability, facts, and the time since the first visit."""


def landmarks(cohort, score: pd.Series) -> tuple[pd.DataFrame, np.ndarray]:
    """Patients at every visit but the first, and what came first after it: 1 an overt lesion that was not there,
    compression or fracture, 2 death. `score` is the log odds of early disease by row of `asked`."""
    rows = asked(cohort).assign(p=1 / (1 + np.exp(-score)))
    table = rows.groupby(["patient", "visit"]).agg(
        day=("day", "first"),
        n_suspicious=("p", lambda v: (v > 0.1).sum()),
        worst=("p", "max"),
        **{name: (name, "first") for name in ("overt_lesions", "age_years", "marker_log", "sclerotic_primary")},
    )
    table = table.reset_index()
    table["months"] = table.day / DAYS_PER_MONTH
    known = cohort.patients.set_index("patient").loc[table.patient].reset_index()
    overt = np.full(len(table), np.inf)
    for patient, own in cohort.lesions.groupby("patient"):
        at = np.flatnonzero(table.patient == patient)
        later = own.overt_day.to_numpy()[None] > table.day.to_numpy()[at, None]
        overt[at] = np.where(later, own.overt_day.to_numpy()[None], np.inf).min(axis=1)
    others = known[["fracture_day", "compression_day"]].fillna(np.inf).to_numpy()
    others = np.where(others > table.day.to_numpy()[:, None], others, np.inf)
    first = np.minimum(overt, others.min(axis=1))
    end, death = known.end_day.to_numpy(), known.death_day.fillna(np.inf).to_numpy()
    event = np.where(first <= end, 1, np.where(death <= end, 2, 0))
    time = (np.minimum(first, end) - table.day.to_numpy()) / DAYS_PER_MONTH
    there = time > 0
    return table[there].reset_index(drop=True), follow_up(time[there], event[there])


def run_events(n_train: int, n_test: int, seed: int) -> None:
    """Time to an overt lesion, compression or fracture, death competing, from a visit on."""
    learned, held = cohorts(n_train, n_test, seed)
    train, test = asked(learned), asked(held)
    early = fused(*MAIN).fit(matrix(train), train.state == SUBTHRESHOLD, groups=train.patient)
    # What was said of a patient by fits that have not seen the patient: else the risk would be trusted too much.
    rows, y = landmarks(learned, pd.Series(early.out_of_fold_))
    new, truth = landmarks(held, pd.Series(early.decision_function(matrix(test))))
    print(f"{rows.patient.nunique()} patients at {len(rows)} visits to learn from")
    rng = np.random.default_rng(seed)
    drawn = new.groupby("patient").visit.transform(lambda v: rng.choice(v.to_numpy())).to_numpy()
    asked_at = {"second visit": (new.visit == 1).to_numpy(), "visit at random": (new.visit == drawn).to_numpy()}
    asked_at["every visit"] = np.ones(len(new), bool)  # intervals there take visits of a patient for independent
    for name, own in asked_at.items():
        n_events, n_deaths = (int((truth["event"][own] == code).sum()) for code in (1, 2))
        print(f"to test on: {name}, {own.sum()} in all, {n_events} events, {n_deaths} deaths before")
    facts = [f for f in EVENT_FEATURES if f not in ("n_suspicious", "worst")]
    learner = SurvivalEnsemble(standard_learners()[:2])
    for name, own in (("with early disease", list(EVENT_FEATURES)), ("facts alone", facts)):
        z, x = rows[own].to_numpy(float), new[own].to_numpy(float)
        for at in (6.0, 12.0):
            model = CompetingRisks(learner).fit(z, stopped(y, at), groups=rows.patient)
            risk = model.predict_incidence(x, [at])[:, 0]
            for when, there in asked_at.items():
                print(f"{name}, {when}, {at:g} months: {judged(risk[there], truth[there], at)}")
        cause = CompetingRisks(learner).fit(z, y, groups=rows.patient).models_[1]
        lived = step(cause.times_, cause.hazard_, y["time"]) * np.exp(cause.out_of_fold_)
        for when, there in asked_at.items():
            score = cause.predict(x[there])
            found = time_intervals(lived, y["event"] == 1, score, (cause.times_, cause.hazard_))
            held_share = interval_share(cause, found, score, truth[there])
            print(f"{name}, {when}: 90 % intervals of the time, were nobody to die first, hold {held_share:.3f}, "
                  f"open in {np.isinf(found.high).mean():.2f}")  # fmt: skip


def judged(risk, truth, at: float) -> str:
    """Discrimination and calibration of the risk by a time."""
    c = competing_calibration(truth["time"], truth["event"], risk, at)
    never = np.where(truth["event"] == 2, truth["time"].max() + 1, truth["time"])
    index = harrell_c(Outcome(never, truth["event"] == 1), risk).estimate
    brier = competing_brier(truth["time"], truth["event"], risk[:, None], [at])[0]
    return (
        f"C {index}, observed {c.observed}, mean {c.mean_risk:.3f}, slope {c.slope}, intercept {c.intercept}, "
        f"ICI {c.ici:.3f}, Brier {brier:.3f}"
    )


def stopped(y, at: float):
    """Follow-up from each visit on that ends at the time asked about: what is seen at a visit tells more of the next
    months than of later years, and one effect for all years would be too weak for the first (van Houwelingen 2007, doi
    10.1111/j.1467-9469.2006.00529.x)."""
    beyond = y["time"] > at
    return follow_up(np.where(beyond, at, y["time"]), np.where(beyond, 0, y["event"]))


def interval_share(cause, found, score, truth) -> float:
    """Share of events of the first kind inside their intervals. On the scale of predicted hazard all intervals that are
    open have the same ends, and all that are not, so that Kaplan-Meier tells what lies between in each group."""

    def scale(times, own):
        return step(cause.times_, cause.hazard_, times) * np.exp(score[own])

    total = 0.0
    for own in (np.isinf(found.high), np.isfinite(found.high)):
        known = own & np.isfinite(found.low)
        if not known.any():
            total += own.sum()
            continue
        curve = KaplanMeier.fit(scale(truth["time"][own], own), truth["event"][own] == 1)
        low = float(curve.at(np.median(scale(found.low[known], known))))
        closed = np.isfinite(found.high[known]).all()
        high = float(curve.at(np.median(scale(found.high[known], known)))) if closed else 0.0
        total += own.sum() * (low - high)
    return total / len(score)


def run_images(n_train: int, n_test: int, seed: int) -> None:
    """Marrow cells beside whole images: spread of signs among healthy vertebrae, and between two visits of them."""
    del n_train
    count = max(n_test, 1)
    shown = {"images": [], "cells": []}
    for number in range(count):
        patient = cohort_seeds(Purpose.BENCHMARK, 1, first=seed + number)[0]
        rng = np.random.default_rng(patient)
        first, other = (SEEN_SCANNERS + UNSEEN_SCANNERS)[number % 11], UNSEEN_SCANNERS[number % 5]
        visits = [PlannedVisit(90.0 * k, s, LUMBAR_SEQUENCES) for k, s in enumerate((first, first, other))]
        course = simulate_course(patient, visits, lesions=[], settings=PatientSettings(fast=True))
        cases = [true_case(v.patient) for v in course.visits]
        motions = [v.motion for v in course.visits]
        now = cases[0]
        places = body_places(now, [v.instance for v in now.vertebrae if not v.at_edge])
        own = [places[i] for i in sorted(places)]
        bodies = [body_signals(now, own)]
        for case, motion in zip(cases[1:], motions[1:], strict=True):
            moved = moved_places(places, dict.fromkeys(places, motion))
            bodies.append(body_signals(case, [moved[i] for i in sorted(moved)]))
        shown["images"].append([visit_signs(bodies[0], [b]) for b in bodies[1:]])
        marrow = draw_marrow(rng, sample_person(rng, malignant=True), patient)
        cells = [marrow.signals(rng, visit, []) for visit in visits]
        shown["cells"].append([visit_signs(cells[0], [b]) for b in cells[1:]])
    for title, block, which in (
        ("at one study", "", 0),
        ("since a study on the same scanner", SINCE_LAST, 0),
        ("since a study on another scanner", SINCE_LAST, 1),
    ):
        own = [VISIT_SIGNS.index(block + s) for s in SIGNS]
        spreads = {k: np.nanstd(np.concatenate([t[which] for t in v])[:, own], axis=0) for k, v in shown.items()}
        print(f"standard deviation of signs among healthy vertebrae, {title}: images, cells")
        for i, name in enumerate(SIGNS):
            print(f"  {name:14} {spreads['images'][i]:.3f} {spreads['cells'][i]:.3f}")


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parts = {"early": run_early, "events": run_events, "images": run_images}
    parser.add_argument("part", choices=parts)
    parser.add_argument("--train", type=int, default=240)
    parser.add_argument("--test", type=int, default=240)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"Spondyl {__version__}, numpy {np.__version__}, scikit-learn {sklearn.__version__}, "
          f"Python {platform.python_version()}")  # fmt: skip
    print(f"{given.part}, {given.train} patients to learn from, {given.test} to test on, seed {given.seed}")
    parts[given.part](given.train, given.test, given.seed)


if __name__ == "__main__":
    main()
