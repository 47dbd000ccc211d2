"""Train the network that outlines lesions on studies whose lesions somebody outlined, whatever sequences they have.

What is not known, such as whether an outlined lesion is benign or malignant, is left open in the loss.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from spondyl.core import ModelError
from spondyl.evaluation.segmentation import score_labels
from spondyl.models.study_inputs import N_CHANNELS, Slot
from spondyl.training.finetune import FROZEN, PRESETS, SCORES, FinetuneSettings, Origin, Task
from spondyl.training.lesion_export import write_own_lesion_model
from spondyl.training.lesion_segmentation import COUNTED_VOXELS, FOUND_SHARE, start_from_spine
from spondyl.training.lesion_studies import BENIGN, LESION, MALIGNANT, WORDS, StudyPatches, WorkingStudy
from spondyl.training.networks import LesionUNet
from spondyl.training.partial import annotated_objective, label_loss, marginal_loss
from spondyl.training.transfer import freeze, load_weights, unet_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spondyl.training.loop import Objective

_log = logging.getLogger(__name__)


def new_lesion_network(origin: Origin, settings: FinetuneSettings) -> LesionUNet:
    """Build the network that is trained.

    Parameters
    ----------
    origin : Origin
        Where it starts: a lesion network, one that outlines the spine, or nothing.
    settings : FinetuneSettings
        Its size, unless the weights tell, and what is frozen.

    Returns
    -------
    LesionUNet
        With its first weights.

    Raises
    ------
    ModelError
        If the weights are of another kind of network.
    """
    torch.manual_seed(settings.seed)
    if origin.weights is None:
        network = LesionUNet(*PRESETS[settings.preset])
    else:
        sizes = unet_sizes(origin.weights)
        if sizes is None:
            msg = f"{origin.name} is no network that outlines anything, or was exported without its weights' names"
            raise ModelError(msg)
        network = LesionUNet(*sizes)
        if origin.weights["stem.weight"].shape[1] == 4 * N_CHANNELS:
            load_weights(network, origin.weights, source=origin.name)
        else:
            start_from_spine(network, origin.weights)
            _log.info("%s outlines the spine; what it tells of lesions is learnt anew", origin.name)
    freeze(network, FROZEN[settings.freeze])
    return network


def lesion_objective(start: torch.nn.Module | None, keep: float) -> Objective:
    """Give what is minimized on annotated studies.

    Parameters
    ----------
    start : Module or None
        The network at the start, whose answers are kept where outlines leave open what is right.
    keep : float
        Weight of keeping them.

    Returns
    -------
    Objective
        Marginal cross-entropy and Dice of benign, malignant and any lesions.
    """
    return annotated_objective(start, keep, loss=_outlined)


def _outlined(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return marginal_loss(logits, target) + 0.5 * label_loss(logits.float().softmax(1), target, LESION)


@torch.no_grad()
def lesion_probabilities(network: torch.nn.Module, study: WorkingStudy) -> NDArray[np.float32]:
    """Run a network on a whole study.

    Parameters
    ----------
    network : Module
        In evaluation mode.
    study : WorkingStudy
        The study.

    Returns
    -------
    ndarray of float32, shape (3, *study.target.shape)
        Probability of normal, benign and malignant.
    """
    device = next(network.parameters()).device
    shape = study.target.shape
    gaps = [-n % m for n, m in zip(shape, LesionUNet.multiple, strict=True)]
    channels = torch.from_numpy(study.channels.astype(np.float32))[None]
    padded = functional.pad(channels, (0, gaps[2], 0, gaps[1], 0, gaps[0])).to(device)
    found = network(padded, torch.from_numpy(study.facts)[None].to(device)).softmax(1)[0]
    return np.asarray(found[:, : shape[0], : shape[1], : shape[2]].float().cpu().numpy())


def score_study(network: torch.nn.Module, study: WorkingStudy) -> list[dict[str, Any]]:
    """Measure a network on a study it never saw.

    Parameters
    ----------
    network : Module
        In evaluation mode.
    study : WorkingStudy
        The study.

    Returns
    -------
    list of dict
        For any lesion, and for benign and malignant ones where they are told apart: the study's number, what is
        meant, overlap and surface distances (None where there is nothing to outline), lesions, those found, and
        outlines that touch none.
    """
    p = lesion_probabilities(network, study)
    rows = []
    for name, number in (("lesion", LESION), ("benign", BENIGN), ("malignant", MALIGNANT)):
        truth = study.target & ~number == 0
        known = truth | (study.target & number == 0)
        if name != "lesion" and not truth.any():
            continue
        members = [c for c in range(3) if number >> c & 1]
        predicted = (p[members].sum(0) > 0.5) & known
        (score,) = score_labels(truth.astype(np.uint8), predicted.astype(np.uint8), study.spacing_mm, labels=[1]).labels
        figures = {measure: _rounded(getattr(score, measure)) for measure in SCORES}
        rows.append({"image": study.number, "structures": name, **figures, **_counted(truth, predicted)})
    return rows


def _rounded(value: float) -> float | None:
    return None if not np.isfinite(value) else round(float(value), 4)


def _counted(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> dict[str, int]:
    """Count lesions, those of which enough is outlined, and outlines of some size that touch none."""
    around = ndimage.generate_binary_structure(3, 3)
    lesions, n = ndimage.label(truth, around)
    shares = ndimage.mean(predicted, lesions, range(1, n + 1)) if n else []
    marks, n_marks = ndimage.label(predicted, around)
    sizes = np.bincount(marks.ravel(), minlength=n_marks + 1)[1:]
    touched = set(np.unique(marks[truth]).tolist())
    false = sum(size >= COUNTED_VOXELS and i not in touched for i, size in enumerate(sizes, 1))
    return {"lesions": n, "found": int(np.sum(np.asarray(shares) > FOUND_SHARE)), "false": int(false)}


def outlined_on(study: WorkingStudy) -> set[str]:
    """Name what is outlined on a study.

    Parameters
    ----------
    study : WorkingStudy
        The study.

    Returns
    -------
    set of str
        Words of `WORDS`.
    """
    values = set(np.unique(study.target).tolist())
    return {word for word, number in WORDS.items() if number in values}


def limits_of_studies(studies: Sequence[WorkingStudy], origin: Origin) -> list[str]:
    """Give what the card must say of the studies.

    Parameters
    ----------
    studies : sequence of WorkingStudy
        Trained on.
    origin : Origin
        Where the network started.

    Returns
    -------
    list of str
        Sentences.
    """
    given = np.stack([s.facts.reshape(len(Slot), -1)[:, 0] for s in studies]).max(0)
    seen = [slot.value for slot, share in zip(Slot, given.tolist(), strict=True) if share > 0]
    words = set().union(*(outlined_on(s) for s in studies))
    said = [f"Learnt on {', '.join(seen)} alone; other sequences are as {origin.name} knew them."]
    if not {"benign", "malignant"} <= words:
        said.append("Benign and malignant were not both outlined: their probabilities are as at the start.")
    return ["Looks only near a spine that was outlined before.", *said]


LESION_TASK = Task(
    "studies",
    new_lesion_network,
    StudyPatches,
    lesion_objective,
    score_study,
    write_own_lesion_model,
    outlined_on,
    limits_of_studies,
)
"""Outlines of lesions on studies of any sequences."""
