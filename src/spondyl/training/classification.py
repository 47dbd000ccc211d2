"""Train the networks that name the class of vertebrae and lesions, and let them answer for patients kept aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import IterableDataset, get_worker_info

from spondyl.models.crops import tokens_of
from spondyl.models.study_inputs import N_FACTS, Slot
from spondyl.training.classifiers import MEASURED_NDIM, ContextTransformer, CropDenseNet, CropResNet
from spondyl.training.loop import FIGURES_EVERY, LoopSettings, fit
from spondyl.training.measures import TokenMeasures
from spondyl.training.residual_fat import LEAST_SHARE, MOST_SHARE, with_residual_fat
from spondyl.training.study_contrast import Series, sample_series
from spondyl.training.vertebrae import GROUPS, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from spondyl.training.vertebrae import PatientCrops

NETWORKS = {"context": ContextTransformer, "resnet": CropResNet, "densenet": CropDenseNet}
"""Classifiers by name."""

SLOTS_OF = {
    Series.T1: (Slot.T1,),
    Series.T1CE: (Slot.T1CE,),
    Series.T2: (Slot.T2,),
    Series.FLUID: (Slot.FLUID,),
    Series.DIXON: (Slot.WATER, Slot.FAT_FRACTION),
    Series.DIFFUSION: (Slot.DWI, Slot.ADC),
}
"""Slots that each series fills."""

WHOLE_SHARE = 0.25
"""Share of the studies seen with every series that was rendered. Chosen by us."""

CUT_SHARE = 0.35
"""Share of the studies of which only some neighboring levels are seen, as in a small field of view. Chosen by us."""

MEASURED_AT_ONCE = 8
"""Tokens that are measured together."""

CONTEXT_STEPS = 4
"""Steps of the context transformer for one of the others: it learns from measures, and a step costs it little."""

N_FOLDS = 5
"""Parts that a cohort is split into, by patient."""


@dataclass(frozen=True)
class ClassifierSettings(LoopSettings):
    """How long and how to train a classifier.

    Parameters
    ----------
    steps, batch_size, learning_rate, decay_share, weight_decay, workers, seed
        As in `LoopSettings`.
    precision, devices, nodes, render_on_device, seconds, echo
        As in `LoopSettings`.
    network : str
        One of `NETWORKS`.
    sites : int
        Vertebrae and lesions a step, those of whole studies; it stands in the place of the batch size, which is 1.
    fold : int
        Patients of this fold, from 0 to `N_FOLDS` - 1, are kept aside.
    """

    steps: int = 300
    batch_size: int = 1
    learning_rate: float = 2e-3
    decay_share: float = 0.6
    weight_decay: float = 1e-2
    workers: int = 0
    network: str = "context"
    sites: int = 48
    fold: int = 0


def steps_of(name: str, steps: int) -> int:
    """Give the steps that a network is trained for where those on crops are trained for some.

    Parameters
    ----------
    name : str
        One of `NETWORKS`.
    steps : int
        Steps of the networks on crops.

    Returns
    -------
    int
        Steps of this one.
    """
    return CONTEXT_STEPS * steps if name == "context" else steps


def fold_of(patient: int) -> int:
    """Give the fold that a patient belongs to.

    Parameters
    ----------
    patient : int
        The patient's seed, or any number that is the patient's own.

    Returns
    -------
    int
        From 0 to `N_FOLDS` - 1; the same for ever.
    """
    return int(np.random.default_rng([patient, 77]).integers(N_FOLDS))


def study_facts(facts: np.ndarray, kept: Sequence[Slot]) -> np.ndarray:
    """Take slots out of the facts of a study.

    Parameters
    ----------
    facts : ndarray of float32, shape (N_FACTS,)
        Facts of all slots.
    kept : sequence of Slot
        Slots that stay.

    Returns
    -------
    ndarray of float32, shape (N_FACTS,)
        Zero for every other slot.
    """
    own = np.array(facts, dtype=np.float32).reshape(len(Slot), -1)
    own[[i for i, slot in enumerate(Slot) if slot not in kept]] = 0
    return own.reshape(-1)


def given_slots(patient: PatientCrops) -> list[Slot]:
    """List the slots that a patient's study fills.

    Parameters
    ----------
    patient : PatientCrops
        The patient.

    Returns
    -------
    list of Slot
        In their order.
    """
    given = patient.facts.reshape(len(Slot), -1)[:, 0] > 0
    return [slot for slot, is_given in zip(Slot, given, strict=True) if is_given]


def site_tensors(patient: PatientCrops, rows: Sequence[int], kept: Sequence[Slot]) -> tuple[Tensor, ...]:
    """Give what a network takes of some sites of a patient, as if only some sequences had been acquired.

    Parameters
    ----------
    patient : PatientCrops
        The patient.
    rows : sequence of int
        Sites.
    kept : sequence of Slot
        Sequences.

    Returns
    -------
    crops : Tensor of float32, shape (n, CROP_CHANNELS, *CROP_SHAPE)
        Boxes.
    facts : Tensor of float32, shape (n, CROP_FACTS)
        Facts of the study, and whether a lesion is meant.
    position : Tensor of float32, shape (n,)
        Place along the column.
    """
    crops = torch.from_numpy(np.asarray(patient.crops[list(rows)], dtype=np.float32))
    for i, slot in enumerate(Slot):
        if slot not in kept:
            crops[:, i] = 0
    sites = [patient.sites[r] for r in rows]
    facts = torch.zeros(len(rows), N_FACTS + 1)
    facts[:, :N_FACTS] = torch.from_numpy(study_facts(patient.facts, kept))
    facts[:, N_FACTS] = torch.tensor([float(s.is_lesion) for s in sites])
    return crops, facts, torch.tensor([s.position for s in sites])


@torch.no_grad()
def measured(patient: PatientCrops) -> PatientCrops:
    """Measure the crops of a patient once, for a network that learns from measures alone.

    Parameters
    ----------
    patient : PatientCrops
        The patient.

    Returns
    -------
    PatientCrops
        With measures in the place of crops, of shape (n_sites, n_slots, n_measures); 0 where no series was given.
    """
    slots = given_slots(patient)
    crops, facts, _ = site_tensors(patient, range(len(patient.sites)), slots)
    tokens, measure = tokens_of(crops, facts), TokenMeasures()
    # Small pieces stay in the processor's cache: five times as fast as all at once.
    rows = torch.cat([measure(part) for part in tokens.crops.split(MEASURED_AT_ONCE)])
    found = np.zeros((len(patient.sites), len(Slot), rows.shape[1]), np.float32)
    found[tokens.site.numpy(), tokens.slot.numpy()] = rows.numpy()
    return patient._replace(crops=found)


class StudyBatches(IterableDataset):
    """An endless stream of batches, each of the sites of some studies.

    Parameters
    ----------
    patients : list of PatientCrops
        To draw from.
    settings : ClassifierSettings
        Seed and size.
    first_step : int
        Where a resumed run stands.
    """

    def __init__(self, patients: Sequence[PatientCrops], settings: ClassifierSettings, first_step: int) -> None:
        self.patients, self.settings, self.first_step = patients, settings, first_step

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield crops, facts, positions, studies, subtypes and classes.

        Yields
        ------
        tuple of Tensor
            One batch.
        """
        worker = get_worker_info()
        rng = np.random.default_rng([self.settings.seed, self.first_step, 0 if worker is None else worker.id])
        order: list[int] = []
        while True:
            parts: list[tuple[Tensor, ...]] = []
            while sum(len(part[0]) for part in parts) < self.settings.sites:
                order = order or rng.permutation(len(self.patients)).tolist()
                patient = self.patients[order.pop()]
                rows = _seen_sites(patient, rng)
                crops, facts, position = site_tensors(patient, rows, seen_slots(patient, rng))
                study = torch.full((len(rows),), len(parts))
                truth = torch.tensor([[patient.sites[r].subtype, patient.sites[r].group] for r in rows])
                parts.append((_changed(crops, rng), facts, position, study, truth[:, 0], truth[:, 1]))
            yield tuple(torch.cat(column) for column in zip(*parts, strict=True))


def _seen_sites(patient: PatientCrops, rng: np.random.Generator) -> list[int]:
    """Cut the field of view to some neighboring levels, at times."""
    position = np.array([s.position for s in patient.sites])
    if rng.random() > CUT_SHARE:
        return list(range(len(position)))
    half = rng.uniform(0.6, 2.6)
    rows = np.flatnonzero(np.abs(position - rng.choice(position)) <= half)
    return [int(r) for r in rows]


def seen_slots(patient: PatientCrops, rng: np.random.Generator) -> list[Slot]:
    """Choose which sequences of a patient are seen, as often as studies have them.

    Parameters
    ----------
    patient : PatientCrops
        The patient.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    list of Slot
        At least one of those given.
    """
    given = given_slots(patient)
    if rng.random() < WHOLE_SHARE:
        return given
    wanted = {slot for series in sample_series(rng) for slot in SLOTS_OF[series]}
    return [slot for slot in given if slot in wanted] or given


def _changed(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirror left and right, move by a voxel, and scale each sequence a little; measures are blurred elsewhere."""
    if crops.ndim == MEASURED_NDIM:
        return crops
    if rng.random() < 0.5:
        crops = crops.flip(2)
    shift = tuple(int(s) for s in rng.integers(-1, 2, 2))
    crops = crops.roll(shift, (3, 4)) if any(shift) else crops
    gain = torch.from_numpy(np.exp(rng.normal(0, 0.08, len(Slot))).astype(np.float32))
    offset = torch.from_numpy(rng.normal(0, 0.04, len(Slot)).astype(np.float32))
    images = crops[:, : len(Slot)]
    moved = images * gain[:, None, None, None] + (images != 0) * offset[:, None, None, None]
    return torch.cat([moved, crops[:, len(Slot) :]], 1)


def site_logits(model: torch.nn.Module, crops: Tensor, facts: Tensor, position: Tensor, study: Tensor) -> Tensor:
    """Run any of the classifiers on the sites of some studies.

    Parameters
    ----------
    model : Module
        One of `NETWORKS`, or that wrapped for training.
    crops, facts, position : Tensor
        As `site_tensors` gives them.
    study : Tensor of int64, shape (n,)
        Which study each site belongs to.

    Returns
    -------
    Tensor, shape (n, n_subtypes)
        Logits of each site.
    """
    kind = getattr(model, "module", model)
    if not isinstance(kind, ContextTransformer):
        return model(crops.contiguous(memory_format=torch.channels_last_3d), facts)[0]
    token_crops, token_facts, slot, site = tokens_of(crops, facts)
    if token_crops.ndim > MEASURED_NDIM:
        token_crops = token_crops.contiguous(memory_format=torch.channels_last_3d)
    logits = model(token_crops, token_facts, slot, position[site], site, study[site])
    return logits[torch.searchsorted(site, torch.arange(len(crops), device=site.device))]


def class_loss(logits: Tensor, subtype: Tensor, group: Tensor) -> Tensor:
    """Give the cross-entropy of the class plus that of the subtype where it is known.

    Parameters
    ----------
    logits : Tensor, shape (n, n_subtypes)
        Network output.
    subtype, group : Tensor of int64, shape (n,)
        Truth; `UNKNOWN` subtypes count by their class alone.

    Returns
    -------
    Tensor, scalar
        The loss.
    """
    logits = logits.float()
    loss = functional.cross_entropy(group_logits(logits), group)
    if bool((subtype != UNKNOWN).any()):
        loss = loss + 0.5 * functional.cross_entropy(logits, subtype, ignore_index=UNKNOWN)
    return loss


def group_logits(logits: Tensor) -> Tensor:
    """Add the probabilities of each class's subtypes, as logits.

    Parameters
    ----------
    logits : Tensor, shape (n, n_subtypes)
        Logits of subtypes.

    Returns
    -------
    Tensor, shape (n, n_classes)
        Logits of classes.
    """
    groups = torch.tensor(GROUPS, device=logits.device)
    return torch.stack([logits[:, groups == g].logsumexp(1) for g in range(int(groups.max()) + 1)], 1)


def looks_at(cohort: Mapping[int, PatientCrops]) -> dict[int, list[PatientCrops]]:
    """Measure every patient as it is, and once more with fat that its suppression left.

    Parameters
    ----------
    cohort : mapping of int to PatientCrops
        Patients by seed.

    Returns
    -------
    dict of int to list of PatientCrops
        From `measured`.
    """
    looks = {}
    for seed, patient in cohort.items():
        share = np.random.default_rng([seed, 78]).uniform(LEAST_SHARE, MOST_SHARE)
        looks[seed] = [measured(patient), measured(with_residual_fat(patient, float(share)))]
    return looks


def train_classifier(
    cohort: Mapping[int, PatientCrops],
    out: Path,
    settings: ClassifierSettings,
    network: torch.nn.Module | None = None,
    *,
    looks: Mapping[int, Sequence[PatientCrops]] | None = None,
) -> Path:
    """Train, or go on with, a classifier on all folds but one.

    Parameters
    ----------
    cohort : mapping of int to PatientCrops
        Patients by seed.
    out : Path
        Folder of the run; a checkpoint in it is resumed.
    settings : ClassifierSettings
        How long and how.
    network : Module, optional
        Where to start; a fresh network by default.
    looks : mapping of int to sequence of PatientCrops, optional
        From `looks_at`, for the context transformer; by default it is done here.

    Returns
    -------
    Path
        The checkpoint, with averaged weights.
    """
    torch.manual_seed(settings.seed)
    learnt = {seed: p for seed, p in cohort.items() if fold_of(seed) != settings.fold}
    patients = list(learnt.values())
    if settings.network == "context":
        looks = looks_at(learnt) if looks is None else looks
        patients = [look for seed in learnt for look in looks[seed]]

    def objective(model: torch.nn.Module, batch: tuple[Tensor, ...], step: int) -> tuple[Tensor, dict[str, float]]:
        crops, facts, position, study, subtype, group = (part[0] for part in batch)
        logits = site_logits(model, crops, facts, position, study)
        if step % FIGURES_EVERY:
            return class_loss(logits, subtype, group), {}
        right = (group_logits(logits.detach().float()).argmax(1) == group).float().mean()
        return class_loss(logits, subtype, group), {"accuracy": float(right)}

    start = network or NETWORKS[settings.network](GROUPS)
    return fit(start, lambda step: StudyBatches(patients, settings, step), objective, out, settings)


@torch.no_grad()
def answers(model: torch.nn.Module, patient: PatientCrops, kept: Sequence[Slot] | None = None) -> np.ndarray:
    """Run a trained classifier on every site of a patient.

    Parameters
    ----------
    model : Module
        In evaluation mode.
    patient : PatientCrops
        The patient.
    kept : sequence of Slot, optional
        Sequences to use of those given; all by default.

    Returns
    -------
    ndarray of float32, shape (n_sites, n_subtypes)
        Logits.
    """
    given = given_slots(patient)
    slots = given if kept is None else [slot for slot in given if slot in kept]
    crops, facts, position = site_tensors(patient, range(len(patient.sites)), slots)
    study = torch.zeros(len(crops), dtype=torch.int64)
    return site_logits(model, crops, facts, position, study).float().numpy()
