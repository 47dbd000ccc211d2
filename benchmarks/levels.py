"""Count for how many unseen synthetic patients every level is named right, and how often a wrong one is not flagged.

Images of a part of the spine are taken, outlined by the network and named; whole spines, which no single series of the
phantom shows, are named from outlines frayed as a network's are. Numeric variants (4 or 6 lumbar, 11 or 13 rib-bearing
vertebrae) come as often as the phantom draws them and are counted apart. Synthetic patients only: nothing here says how
the program fares in a clinic.

    python benchmarks/levels.py [--count 20] [--regions lumbar thoracolumbar cervical whole] [--first 1000000]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from spondyl import __version__
from spondyl.core import Case, NoSpineError, Sequence
from spondyl.harmonize.step import HarmonizeSettings, harmonize
from spondyl.io.weights import load_network
from spondyl.localize import LocalizeSettings, localize
from spondyl.localize.level_cues import CUES, ColumnCues
from spondyl.localize.level_model import shipped_level_model
from spondyl.localize.levels import name_levels
from spondyl.phantom import build_anatomy, simulate_patient
from spondyl.phantom.patient import PatientSettings
from spondyl.phantom.person import Person
from spondyl.phantom.spine import sample_spine
from spondyl.training.levels import EXTENT_MM, SPACING_MM, measure_patient

NEAR_MM = 12.0
"""A body found is the true one whose center lies no farther away: half a lumbar vertebra's step is 17 mm."""

FIRST_SEED = 1_000_000
"""Patients that no training may see start here."""


class Outcome(NamedTuple):
    """What was said of one patient."""

    variant: bool
    right: bool
    flagged: bool
    silent: bool
    bodies: int
    bodies_right: int


def outcome(seed: int, said: list[tuple[str | None, bool]], true: list[str]) -> Outcome:
    """Compare names and doubts with the truth, body by body."""
    hits = [name == level for (name, _), level in zip(said, true, strict=True)]
    flagged = any(doubt for _, doubt in said)
    wrong = any(
        name is not None and name != level and not doubt for (name, doubt), level in zip(said, true, strict=True)
    )
    return Outcome(is_variant(seed), all(hits) and bool(hits), flagged, wrong, len(hits), sum(hits))


def is_variant(seed: int) -> bool:
    """Whether a patient has an unusual number of vertebrae."""
    # The number of vertebrae is drawn first, so that it is the same for every person.
    levels = {s.level for s in sample_spine(np.random.default_rng([seed, 1]), person=Person(50.0, female=True))}
    return "L6" in levels or "T13" in levels or "L5" not in levels or "T12" not in levels


def from_images(seed: int, region: str, network) -> Outcome:
    """Take a T2 and a T1 series, outline them and name the bodies."""
    patient = simulate_patient(
        seed, region=region, sequences=(Sequence.T2, Sequence.T1), settings=PatientSettings(fast=True)
    )
    truth = {v.level: np.array(v.center_lps_mm) for v in patient.anatomy.vertebrae}
    case = Case("case-benchmark", {image.sequence: image for image in patient.images})
    try:
        case = localize(harmonize(case, HarmonizeSettings()), LocalizeSettings(), network=network)
    except NoSpineError:
        return Outcome(is_variant(seed), right=False, flagged=True, silent=False, bodies=0, bodies_right=0)
    said, true = [], []
    for v in case.vertebrae:
        distance = {level: float(np.linalg.norm(c - v.centroid_lps_mm)) for level, c in truth.items()}
        nearest = min(distance, key=distance.__getitem__)
        # A cut body's center lies too low or too high.
        limit = NEAR_MM * (1.5 if v.at_edge else 1.0)
        true.append(nearest if distance[nearest] <= limit else "no vertebra")
        said.append((v.level, v.level_uncertain))
    return outcome(seed, said, true)


def from_outlines(seed: int) -> Outcome:
    """Name a whole spine from its outlines, S1 called rightly."""
    anatomy = build_anatomy(seed, region="whole", spacing_mm=SPACING_MM, extent_mm=EXTENT_MM)
    example = measure_patient(anatomy, np.random.default_rng([seed, 20]))
    n = example.levels.index("S1") + 1
    values = example.values[:n].copy()
    values[-1, [CUES.index(c) for c in ("step", "tilt", "disc")]] = np.nan
    called = np.zeros(n)
    called[-1] = 1.0
    cues = ColumnCues(values, called, example.cord_end, n / 2, 2.0, 2.0, cut_below=False)
    _, guesses = name_levels(cues, shipped_level_model())
    said = [(g.level, g.uncertain) for g in guesses]
    return outcome(seed, said, list(example.levels[:n]))


def row(region: str, kind: str, outcomes: list[Outcome]) -> str:
    """Give one line of the table."""
    n = len(outcomes)
    shares = [100 * sum(getattr(o, f) for o in outcomes) / n for f in ("right", "flagged", "silent")]
    bodies = 100 * sum(o.bodies_right for o in outcomes) / max(sum(o.bodies for o in outcomes), 1)
    return f"| {region} | {kind} | {n} | " + " | ".join(f"{s:.0f} %" for s in (*shares, bodies)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20, help="patients of each region")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="first seed")
    parser.add_argument("--regions", nargs="+", default=["lumbar", "thoracolumbar", "cervical", "whole"])
    arguments = parser.parse_args()
    network = load_network("spine", threads=1)
    weights = f"network {network.sha256[:8]}, levels {shipped_level_model().sha256[:8]}"
    print(f"spondyl {__version__}, {datetime.now(tz=UTC):%Y-%m-%d}, seeds from {arguments.first}, {weights}\n")
    print("| region | spines | patients | every level right | flagged | wrong unflagged | bodies right |")
    print("|---|---|---|---|---|---|---|")
    for region in arguments.regions:
        groups: dict[str, list[Outcome]] = defaultdict(list)
        for seed in range(arguments.first, arguments.first + arguments.count):
            one = from_outlines(seed) if region == "whole" else from_images(seed, region, network)
            groups["variant" if one.variant else "usual"].append(one)
            groups["all"].append(one)
        for kind, outcomes in groups.items():
            print(row(region, kind, outcomes), flush=True)


if __name__ == "__main__":
    main()
