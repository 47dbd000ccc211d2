"""Synthetic studies whose levels are known, taken, outlined and measured as a study is."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from importlib import resources
from itertools import count as count_from
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import Case, Sequence
from spondyl.harmonize.step import HarmonizeSettings, harmonize
from spondyl.localize.fuse import fuse
from spondyl.localize.instances import BodyShape
from spondyl.localize.level_cues import ColumnCues
from spondyl.localize.measure import column_cues, number_bodies
from spondyl.localize.outlines import outline
from spondyl.localize.ribs import boxes
from spondyl.localize.step import LocalizeSettings, sequences_of
from spondyl.models import OpenVinoNetwork, parse_card, segment
from spondyl.phantom import simulate_patient
from spondyl.phantom.cohort import SEEN_SCANNERS
from spondyl.phantom.patient import PatientSettings
from spondyl.phantom.person import Person
from spondyl.phantom.spine import sample_spine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from spondyl.models import Network
    from spondyl.phantom import SyntheticPatient

_log = logging.getLogger(__name__)

FIRST_SEED, FIRST_VARIANT_SEED, FIRST_RIB_SEED = 510_000, 520_000, 530_000
"""Seeds of these patients start here, of those with an unusual number of vertebrae, and of those with dealt ribs, apart
from those the networks learn from."""

VARIANT_SHARE = 0.2
"""Share of patients with an unusual number of vertebrae: more than in life, so that a T13 and an L6 are learnt."""

PARTS = ("cervical", "thoracic", "thoracolumbar", "lumbar")
"""Parts of the spine that are taken, as often as each other."""

SERIES = (
    (0.40, (Sequence.T2,)),
    (0.25, (Sequence.T1,)),
    (0.10, (Sequence.STIR,)),
    (0.20, (Sequence.T2, Sequence.T1)),
    (0.05, (Sequence.T1, Sequence.DIXON_WATER)),
)
"""Sets of sequences and their share. Chosen by us."""

NEAR_MM, NEAR_AT_END_MM = 13.0, 20.0
"""A body found is the true one whose center lies no farther away; the field of view may cut the first and the last."""


@dataclass(frozen=True, eq=False)
class LevelExample:
    """One study with its true names.

    Parameters
    ----------
    levels : tuple of str
        True level of each body that was found; empty where it is none, or a part of one.
    cues : ColumnCues
        Its measurements.
    boxes : ndarray, shape (n_images, n, 2, *BOX_SHAPE)
        What each image shows beside the bodies.
    """

    levels: tuple[str, ...]
    cues: ColumnCues
    boxes: NDArray[np.float32]


def is_variant(seed: int) -> bool:
    """Say whether a synthetic patient has an unusual number of vertebrae.

    Parameters
    ----------
    seed : int
        The patient.

    Returns
    -------
    bool
        True for 4 or 6 lumbar, or 11 or 13 rib-bearing vertebrae.
    """
    levels = levels_of(seed)
    return not levels.isdisjoint(("L6", "T13")) or not levels.issuperset(("L5", "T12"))


def levels_of(seed: int) -> frozenset[str]:
    """Give the levels that the whole spine of a synthetic patient has.

    Parameters
    ----------
    seed : int
        The patient.

    Returns
    -------
    frozenset of str
        From C1 to S5.
    """
    # The number of vertebrae is drawn first, so that it is the same for every person.
    return frozenset(s.level for s in sample_spine(np.random.default_rng([seed, 1]), person=Person(50.0, female=True)))


def seeds_of(count: int) -> Iterator[int]:
    """Give the patients to learn from.

    Parameters
    ----------
    count : int
        How many.

    Yields
    ------
    int
        Seed of a patient; one in five has an unusual number of vertebrae.
    """
    usual, variant = count_from(FIRST_SEED), filter(is_variant, count_from(FIRST_VARIANT_SEED))
    every = round(1 / VARIANT_SHARE)
    for number in range(count):
        yield next(variant if number % every == every - 1 else usual)


def simulate_study(seed: int) -> SyntheticPatient:
    """Take a study of a part of the spine.

    Parameters
    ----------
    seed : int
        The patient.

    Returns
    -------
    SyntheticPatient
        One or two sequences.
    """
    rng = np.random.default_rng([seed, 77])
    region, scanner = (
        str(rng.choice(PARTS, p=[1 / len(PARTS)] * len(PARTS))),
        SEEN_SCANNERS[rng.integers(len(SEEN_SCANNERS))],
    )
    sequences = SERIES[rng.choice(len(SERIES), p=[share for share, _ in SERIES])][1]
    return simulate_patient(
        seed,
        region=region,
        sequences=sequences,
        vendor=scanner.vendor,
        field_strength_t=scanner.field_strength_t,
        settings=PatientSettings(fast=True),
        lesions="mixed" if rng.random() < 0.4 else "prevalence",
    )


def measure_study(patient: SyntheticPatient, network: Network) -> LevelExample | None:
    """Outline a synthetic study and measure its column as `spondyl.localize` does.

    Parameters
    ----------
    patient : SyntheticPatient
        Images and truth.
    network : Network
        Outlines structures.

    Returns
    -------
    LevelExample or None
        None where no column was found.
    """
    settings = LocalizeSettings()
    case = harmonize(Case("case-levels", {i.sequence: i for i in patient.images}), HarmonizeSettings())
    reference = case.reference or next(iter(case.images))
    images = [case.images[s] for s in sequences_of(case, reference, settings.max_sequences)]
    found = fuse([segment(image, network, views=1) for image in images])
    outlines = outline(found, images[0].grid, cortex_share=settings.cortex_share)
    if outlines is None:
        return None
    shape = BodyShape(settings.closing_mm, settings.end_slice_share)
    bodies = number_bodies(outlines, min_confidence=settings.min_confidence, shape=shape)
    if int(bodies.max()) < settings.min_bodies:
        return None
    cues, places = column_cues(outlines, bodies)
    levels = true_levels(places.centers_lps_mm, {v.level: v.center_lps_mm for v in patient.anatomy.vertebrae})
    return LevelExample(levels, cues, np.stack([boxes(image, places) for image in images]))


def true_levels(centers_lps_mm: NDArray[np.float64], truth: dict[str, tuple[float, float, float]]) -> tuple[str, ...]:
    """Find the true level of each body found.

    Parameters
    ----------
    centers_lps_mm : ndarray, shape (n, 3)
        Centers of bodies, from the head down.
    truth : dict of str to tuple of float
        Center of each level in LPS mm.

    Returns
    -------
    tuple of str
        Nearest level; empty where none is near, or another body is nearer to it.
    """
    names = list(truth)
    distance = np.linalg.norm(centers_lps_mm[:, None] - np.array([truth[n] for n in names]), axis=-1)
    nearest, n = distance.argmin(axis=1), len(distance)
    limit = np.where(np.isin(np.arange(n), (0, n - 1)), NEAR_AT_END_MM, NEAR_MM)
    return tuple(
        names[j] if distance[i, j] <= limit[i] and i == distance[:, j].argmin() else "" for i, j in enumerate(nearest)
    )


def make_examples(folder: Path, count: int, network: Network) -> list[LevelExample]:
    """Measure patients that were not measured yet, and give all.

    Parameters
    ----------
    folder : Path
        Where measurements are kept; resumable.
    count : int
        How many patients.
    network : Network
        Outlines structures.

    Returns
    -------
    list of LevelExample
        Those in whom a column was found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    examples = []
    for seed in seeds_of(count):
        path = folder / f"{seed}.npz"
        if not path.exists():
            example = measure_study(simulate_study(seed), network)
            partial = path.with_suffix(".part.npz")
            np.savez_compressed(partial, **({} if example is None else _table(example)))  # type: ignore[arg-type]
            partial.rename(path)
            _log.info("patient %d measured", seed)
        with np.load(path) as table:
            if "levels" in table:
                examples.append(_example(dict(table)))
    return examples


def _table(example: LevelExample) -> dict[str, NDArray]:
    cues = {k: np.asarray(v) for k, v in asdict(example.cues).items() if v is not None}
    return {"levels": np.array(example.levels), "boxes": example.boxes.astype(np.float16), **cues}


def _example(table: dict[str, NDArray]) -> LevelExample:
    levels, seen = table.pop("levels"), table.pop("boxes")
    cues: dict[str, Any] = {k: v if v.ndim else v.item() for k, v in table.items()}
    return LevelExample(tuple(str(name) for name in levels), ColumnCues(**cues), seen.astype(np.float32))


def packaged_network() -> OpenVinoNetwork:
    """Load the network that outlines structures and comes with the package.

    Returns
    -------
    OpenVinoNetwork
        On one processor thread.
    """
    folder = Path(str(resources.files("spondyl.models") / "weights"))
    card = parse_card((folder / "spine.toml").read_text(encoding="utf-8"))
    return OpenVinoNetwork(card, folder / card.weights, threads=1)
