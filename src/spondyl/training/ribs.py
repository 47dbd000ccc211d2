"""Learn to tell ribs, from synthetic patients in whom they were dealt out by chance.

In a real spine ribs and vertebrae go together, so that a network asked for ribs soon looks at the vertebrae, and finds
none where a sixth lumbar vertebra shifts them. Here it can look at nothing but the ribs.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import count as count_from
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from spondyl.core import Case
from spondyl.harmonize.step import HarmonizeSettings, harmonize
from spondyl.localize.ribs import BOX_SHAPE, STRIDE, RibModel, boxes, places_of
from spondyl.phantom import simulate_patient
from spondyl.phantom.cohort import SEEN_SCANNERS
from spondyl.phantom.patient import PatientSettings
from spondyl.training.level_studies import FIRST_RIB_SEED, SERIES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_log = logging.getLogger(__name__)

PARTS = {"lumbar": 0.3, "thoracolumbar": 0.3, "thoracic": 0.2, "cervical": 0.2}
"""Parts of the spine that are taken, and their share. Chosen by us: most where ribs end."""

SERIES_SHARES = (0.5, 0.3, 0.2)
"""Share of T2, T1 and STIR: the first, the second and the third set of `SERIES`."""

CENTER_SD_MM, DEPTH_SD, DEPTHS_SD = 1.2, 0.05, 0.03
"""How far outlines lie off the truth: of a center to each side, and of the logarithm of the depth of a body, for each
alone and for all of a patient. Chosen by us."""

FEWEST = 3
"""Bodies that a study must show."""

FILTERS, SIZES, HIDDEN, DROPPED = (16, 24), (5, 3), 24, 0.3
"""Filters and their size in each convolutional layer, width of the hidden layer and share of its inputs that is left
out in training. Chosen by us on patients held out."""

BATCH, ROUNDS, RATE, DECAY = 64, 40, 4e-3, 1e-2
"""Boxes of a step, rounds over all, highest learning rate and weight decay. Chosen by us on patients held out."""


@dataclass(frozen=True, eq=False)
class RibExample:
    """What one image shows beside the bodies, and which of them bear ribs.

    Parameters
    ----------
    boxes : ndarray, shape (n, 2, *BOX_SHAPE)
        From `spondyl.localize.ribs.boxes`.
    bears_ribs : ndarray of bool, shape (n,)
        The truth.
    """

    boxes: NDArray[np.float32]
    bears_ribs: NDArray[np.bool_]


def rib_example(seed: int) -> RibExample | None:
    """Take an image of a synthetic patient with dealt ribs, and look beside the bodies.

    Parameters
    ----------
    seed : int
        The patient.

    Returns
    -------
    RibExample or None
        None where too few bodies are in view.
    """
    rng = np.random.default_rng([seed, 77])
    region = str(rng.choice(list(PARTS), p=list(PARTS.values())))
    scanner = SEEN_SCANNERS[rng.integers(len(SEEN_SCANNERS))]
    patient = simulate_patient(
        seed,
        region=region,
        sequences=SERIES[rng.choice(len(SERIES_SHARES), p=SERIES_SHARES)][1],
        vendor=scanner.vendor,
        field_strength_t=scanner.field_strength_t,
        settings=PatientSettings(fast=True, dealt_ribs=True),
        lesions="prevalence",
    )
    case = harmonize(Case("case-ribs", {i.sequence: i for i in patient.images}), HarmonizeSettings())
    image = next(iter(case.images.values()))
    truth = [v for v in patient.anatomy.vertebrae if v.level[0] != "S" or v.level == "S1"]
    at = image.grid.lps_to_ijk(np.array([v.center_lps_mm for v in truth]))
    inside = np.all((at >= 0) & (at <= np.array(image.grid.shape) - 1), axis=1)
    seen = [truth[i] for i in np.flatnonzero(inside)]
    if len(seen) < FEWEST:
        return None
    lps = np.array([v.center_lps_mm for v in seen])
    lps += rng.normal(0, CENTER_SD_MM, lps.shape)
    depths = np.array([2 * v.half_depth_mm for v in seen])
    depths *= np.exp(rng.normal(0, DEPTH_SD, len(seen)) + rng.normal(0, DEPTHS_SD))
    # Left, inferior and posterior, as outlines lie.
    places = places_of(lps[:, [0, 2, 1]] * [1.0, -1.0, 1.0], lps, depths)
    return RibExample(boxes(image, places), np.array([v.bears_ribs for v in seen]))


def make_rib_examples(folder: Path, count: int) -> list[RibExample]:
    """Look at patients that were not looked at yet, and give all.

    Parameters
    ----------
    folder : Path
        Where examples are kept; resumable.
    count : int
        How many patients.

    Returns
    -------
    list of RibExample
        Those with enough bodies in view.
    """
    folder.mkdir(parents=True, exist_ok=True)
    examples = []
    for seed in islice(count_from(FIRST_RIB_SEED), count):
        path = folder / f"{seed}.npz"
        if not path.exists():
            example = rib_example(seed)
            partial = path.with_suffix(".part.npz")
            table = {} if example is None else {"boxes": example.boxes.astype(np.float16), "ribs": example.bears_ribs}
            np.savez_compressed(partial, **table)  # type: ignore[arg-type]
            partial.rename(path)
            _log.info("ribs of patient %d seen", seed)
        with np.load(path) as table_read:
            if "ribs" in table_read:
                examples.append(RibExample(table_read["boxes"].astype(np.float32), table_read["ribs"]))
    return examples


def fit_ribs(examples: list[RibExample], *, rounds: int = ROUNDS, seed: int = 0) -> RibModel:
    """Train the network that tells ribs.

    Parameters
    ----------
    examples : list of RibExample
        Studies.
    rounds : int, optional
        How often every box is seen.
    seed : int, optional
        Of the first weights, the order and the disguises.

    Returns
    -------
    RibModel
        Trained on both sides of every body.
    """
    box = torch.from_numpy(np.concatenate([e.boxes.reshape(-1, *BOX_SHAPE) for e in examples]))
    bears = torch.from_numpy(np.concatenate([e.bears_ribs.repeat(2) for e in examples])).float()
    chance = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = _network()
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=DECAY)
        per_round = -(-len(box) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=rounds * per_round)
        # Bodies with and without ribs count alike, so that the answer is a ratio of likelihoods.
        weight = torch.where(bears > 0, 0.5 / bears.mean(), 0.5 / (1 - bears.mean()))
        for _ in range(rounds):
            for chosen in torch.randperm(len(box), generator=chance).split(BATCH):
                odds = network(_disguised(box[chosen], chance))[:, 0]
                loss = functional.binary_cross_entropy_with_logits(odds, bears[chosen], weight=weight[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    return _as_model(network)


def _network() -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs, *shape = BOX_SHAPE
    for outputs, size in zip(FILTERS, SIZES, strict=True):
        layers += [nn.Conv2d(inputs, outputs, size, stride=STRIDE), nn.ReLU()]
        inputs, shape = outputs, [(n - size) // STRIDE + 1 for n in shape]
    flat = inputs * shape[0] * shape[1]
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Dropout(DROPPED), nn.Linear(flat, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
    )


def _disguised(box: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Change contrast and place of boxes and add noise, so that bones are told and not a sequence."""
    each = (len(box), 1, 1, 1)

    def between(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(each, generator=chance)

    down, back = torch.randint(-1, 2, (2,), generator=chance).tolist()
    box = torch.roll(box, (down, back), (2, 3))
    turned = torch.where(torch.rand(each, generator=chance) < 0.1, -1.0, 1.0)
    changed = box.sign() * box.abs() ** between(0.7, 1.3) * turned * between(0.7, 1.4)
    changed = changed + 0.1 * torch.randn(each, generator=chance)
    changed = changed + torch.randn(box.shape, generator=chance) * (0.1 + between(0.0, 0.2))
    return torch.where(box == 0, 0.0, changed)


def _as_model(network: nn.Sequential) -> RibModel:
    def plain(tensor: Any) -> NDArray[np.float64]:
        return tensor.detach().numpy().astype(np.float64)

    convolutions = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    hidden, last = (layer for layer in network if isinstance(layer, nn.Linear))
    return RibModel(
        tuple(plain(layer.weight) for layer in convolutions),
        (plain(hidden.weight).T, plain(last.weight).T),
        tuple(plain(layer.bias) for layer in (*convolutions, hidden, last)),
    )
