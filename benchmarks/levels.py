"""Count for how many unseen synthetic patients every level is named right, and how often a wrong one is not flagged.

Images of a part of the spine are taken on scanners that training never saw, outlined by the network and named; stations
of whole spines are joined first. Numeric variants (4 or 6 lumbar, 11 or 13 rib-bearing vertebrae) come as often as the
phantom draws them and are counted apart; ``--variants`` takes patients with such a variant alone. Those whose number
the field of view shows are counted apart again (`number_in_view`): no reader can tell the others. Synthetic patients
only: nothing here says how the program fares in a clinic.

    python benchmarks/levels.py [--count 20] [--regions lumbar thoracic ...] [--first 2000000] [--variants]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from datetime import UTC, datetime
from itertools import count, islice
from typing import TYPE_CHECKING, NamedTuple

from synthetic_patients import true_levels

from spondyl import __version__
from spondyl.core import Case, NoSpineError, Sequence
from spondyl.harmonize.step import HarmonizeSettings, harmonize
from spondyl.io.weights import load_network
from spondyl.localize import LocalizeSettings, localize
from spondyl.localize.level_model import shipped_level_model
from spondyl.phantom import simulate_patient
from spondyl.phantom.cohort import UNSEEN_SCANNERS
from spondyl.phantom.patient import PatientSettings
from spondyl.training.level_studies import is_variant, levels_of

if TYPE_CHECKING:
    from spondyl.models import Network

FIRST_SEED = 2_000_000
"""Patients for tests start here."""

REGIONS = ("lumbar", "thoracolumbar", "thoracic", "cervical", "whole")

SEQUENCES = ((Sequence.T2, Sequence.T1), (Sequence.T2,), (Sequence.T1, Sequence.STIR))
"""Sets of sequences, taken in turn."""


class Outcome(NamedTuple):
    """What was said of one patient."""

    variant: bool
    in_view: bool
    right: bool
    flagged: bool
    silent: bool
    bodies: int
    bodies_right: int


def number_in_view(seed: int, true: list[str]) -> bool:
    """Whether the bodies found show which number is unusual: the last ribs and all below them, or all rib bearers."""
    levels, seen = levels_of(seed), set(true)
    n_thoracic, n_lumbar = (sum(name[0] == part for name in levels) for part in "TL")
    wanted = {f"T{n_thoracic}"} if is_variant(seed) else set()
    wanted |= {"L1", f"L{n_lumbar}"} if n_lumbar != 5 else set()
    wanted |= {"T1"} if n_thoracic != 12 else set()
    return wanted <= seen


def outcome(seed: int, said: list[tuple[str | None, bool]], true: list[str]) -> Outcome:
    """Compare names and doubts with the truth, body by body."""
    hits = [name == level for (name, _), level in zip(said, true, strict=True)]
    flagged = any(doubt for _, doubt in said)
    wrong = any(
        name is not None and name != level and not doubt for (name, doubt), level in zip(said, true, strict=True)
    )
    known = number_in_view(seed, true)
    return Outcome(is_variant(seed), known, all(hits) and bool(hits), flagged, wrong, len(hits), sum(hits))


def from_images(seed: int, region: str, network: Network) -> Outcome:
    """Take a study on a scanner that training never saw, outline it and name the bodies."""
    scanner = UNSEEN_SCANNERS[seed % len(UNSEEN_SCANNERS)]
    patient = simulate_patient(
        seed,
        region=region,
        sequences=SEQUENCES[seed % len(SEQUENCES)],
        vendor=scanner.vendor,
        field_strength_t=scanner.field_strength_t,
        settings=PatientSettings(fast=True, composed=True, unseen_timing=scanner.unseen_timing),
    )
    case = Case("case-benchmark", {image.sequence: image for image in patient.images})
    try:
        case = localize(harmonize(case, HarmonizeSettings()), LocalizeSettings(), network=network)
    except NoSpineError:
        return Outcome(
            is_variant(seed), in_view=False, right=False, flagged=True, silent=False, bodies=0, bodies_right=0
        )
    truth = patient.labels_on(case.labels["structures"].grid)
    true = [level or "no vertebra" for level in true_levels(case, patient, truth)]
    said = [(v.level, v.level_uncertain) for v in case.vertebrae]
    return outcome(seed, said, true)


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
    parser.add_argument("--regions", nargs="+", choices=REGIONS, default=REGIONS)
    parser.add_argument("--variants", action="store_true", help="only patients with a numeric variant")
    arguments = parser.parse_args()
    network = load_network("spine", threads=1)
    weights = f"network {network.sha256[:8]}, levels {shipped_level_model().sha256[:8]}"
    print(f"spondyl {__version__}, {datetime.now(tz=UTC):%Y-%m-%d}, seeds from {arguments.first}, {weights}\n")
    print("| region | spines | patients | every level right | flagged | wrong unflagged | bodies right |")
    print("|---|---|---|---|---|---|---|")
    for region in arguments.regions:
        groups: dict[str, list[Outcome]] = defaultdict(list)
        seeds = (s for s in count(arguments.first) if is_variant(s) or not arguments.variants)
        for seed in islice(seeds, arguments.count):
            one = from_images(seed, region, network)
            groups["variant" if one.variant else "usual"].append(one)
            if one.variant and one.in_view:
                groups["variant, number in view"].append(one)
            groups["all"].append(one)
        for kind, outcomes in groups.items():
            print(row(region, kind, outcomes), flush=True)


if __name__ == "__main__":
    main()
