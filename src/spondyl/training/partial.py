"""Learn from outlines that leave structures out.

A data set may outline vertebral bodies alone, or join structures that the network keeps apart. Each voxel then allows
several structures: a joined label those that it joins, background everything that was not outlined. The loss asks for
the *sum* of the probabilities allowed and never how they are shared. Voxels of which nothing is known allow everything
and so cost nothing.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from spondyl.core import InputError, Structure
from spondyl.training.losses import DICE_SMOOTHING_VOXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

    from spondyl.training.loop import Objective

EVERYTHING = (1 << len(Structure)) - 1
"""Allows every structure: nothing is known."""

ANY_VALUE = -1
"""Stands for every value of a label map that has no meaning of its own."""

REST, IGNORED = "rest", "ignored"
"""Words for what no value outlines, background included, and for what is not known."""

MIN_PROBABILITY = 1e-6
"""Smallest sum of probabilities that the loss tells apart from zero."""


def allowed(structures: Iterable[Structure]) -> int:
    """Give the number that allows some structures: one bit for each.

    Parameters
    ----------
    structures : iterable of Structure
        What a voxel may be.

    Returns
    -------
    int
        From 1 to `EVERYTHING`.
    """
    return sum({1 << int(s) for s in structures})


def structures_of(number: int) -> tuple[Structure, ...]:
    """Give the structures that a number allows.

    Parameters
    ----------
    number : int
        From `allowed`.

    Returns
    -------
    tuple of Structure
        In order.
    """
    return tuple(s for s in Structure if number >> int(s) & 1)


def name_of(number: int) -> str:
    """Name what a number allows.

    Parameters
    ----------
    number : int
        From `allowed`.

    Returns
    -------
    str
        Such as ``"body+cortex"``.
    """
    return "+".join(s.name.lower() for s in structures_of(number))


def read_meanings(words: Mapping[str, str]) -> dict[int, int]:
    """Read what the values of a label map mean.

    Parameters
    ----------
    words : mapping of str to str
        For each value, or ``"*"`` for every other value: names of structures joined by ``+``, ``"rest"`` for what no
        value outlines, or ``"ignored"``. Value 0 is ``"rest"`` unless it is named.

    Returns
    -------
    dict of int to int
        What each value allows, as `allowed` gives it; `ANY_VALUE` for ``"*"``.

    Raises
    ------
    InputError
        If a value or name is not known, or nothing is outlined.
    """
    given = {_value(value): text.strip().lower() for value, text in words.items()}
    given.setdefault(0, REST)
    named = {v: _named(text) for v, text in given.items() if text not in (REST, IGNORED)}
    outlined = allowed(s for number in named.values() for s in structures_of(number))
    if not outlined & ~1:
        msg = "the meaning of the labels names no structure to learn; write for example `1 = body+cortex`"
        raise InputError(msg)
    special = {REST: EVERYTHING & ~outlined | 1, IGNORED: EVERYTHING}
    return {v: named[v] if v in named else special[text] for v, text in given.items()}


def _value(text: str) -> int:
    if text.strip() == "*":
        return ANY_VALUE
    if not text.strip().isdigit():
        msg = f"the value of a label must be a whole number or *, got {text!r}"
        raise InputError(msg)
    return int(text)


def _named(text: str) -> int:
    names = {s.name.lower(): s for s in Structure}
    parts = [part.strip() for part in text.split("+")]
    if unknown := [part for part in parts if part not in names]:
        msg = f"a label must mean {', '.join(names)}, some of them joined by +, {REST} or {IGNORED}; got {unknown[0]!r}"
        raise InputError(msg)
    return allowed(names[part] for part in parts)


def marginal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Give cross-entropy and Dice loss of outlines that leave structures out.

    Parameters
    ----------
    logits : Tensor, shape (batch, n_classes, ...)
        Network output; the first class is what is not outlined.
    target : Tensor of int64, shape (batch, ...)
        What each voxel may be, one bit a class, as `allowed` gives it for structures.

    Returns
    -------
    Tensor, scalar
        The loss; zero where nothing is known.

    References
    ----------
    Shi et al. 2021, Marginal loss and exclusion loss for partially supervised multi-organ segmentation, Medical Image
    Analysis 70:101979, doi 10.1016/j.media.2021.101979.
    """
    probabilities = logits.float().softmax(1)
    n_classes = probabilities.shape[1]
    inside = _bits(target, n_classes)
    known = target != (1 << n_classes) - 1
    covered = (probabilities * inside).sum(1).clamp_min(MIN_PROBABILITY)
    entropy = -(covered.log() * known).sum() / known.sum().clamp_min(1)
    losses = [
        label_loss(probabilities, target, int(number)) for number in target.unique() if _is_foreground(int(number))
    ]
    return entropy + torch.stack(losses).mean() if losses else entropy


def _bits(target: Tensor, n_classes: int) -> Tensor:
    bits = torch.arange(n_classes, device=target.device).reshape(1, -1, *[1] * (target.ndim - 1))
    return target[:, None] >> bits & 1


def _is_foreground(number: int) -> bool:
    return not number & (1 << int(Structure.BACKGROUND))


def label_loss(probabilities: Tensor, target: Tensor, number: int) -> Tensor:
    """Give one minus the soft Dice of one label, over the voxels that are surely inside or surely outside it.

    Parameters
    ----------
    probabilities : Tensor, shape (batch, n_classes, ...)
        Of each class.
    target : Tensor of int64, shape (batch, ...)
        What each voxel may be.
    number : int
        The classes that the label joins, one bit each.

    Returns
    -------
    Tensor, scalar
        The loss.
    """
    within, outside = target & ~number == 0, target & number == 0
    counted = within | outside
    members = [c for c in range(probabilities.shape[1]) if number >> c & 1]
    p = probabilities[:, members].sum(1) * counted
    both = (p * within).sum()
    return 1 - (2 * both + DICE_SMOOTHING_VOXELS) / (p.sum() + within.sum() + DICE_SMOOTHING_VOXELS)


def keeping_loss(logits: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
    """Ask that structures which a voxel leaves open are shared as an earlier network shared them.

    So structures that a data set does not outline are not forgotten.

    Parameters
    ----------
    logits, teacher : Tensor, shape (batch, n_classes, ...)
        Output of the network, and of the one it started from.
    target : Tensor of int64, shape (batch, ...)
        What each voxel may be, as `allowed` gives it.

    Returns
    -------
    Tensor, scalar
        Mean divergence from the earlier network's shares, among the structures allowed.

    References
    ----------
    Li and Hoiem 2018, Learning without forgetting, IEEE TPAMI 40:2935, doi 10.1109/TPAMI.2017.2773081.
    """
    closed = (1 - _bits(target, logits.shape[1])).bool()
    own = functional.log_softmax(logits.float().masked_fill(closed, -torch.inf), 1)
    old = functional.log_softmax(teacher.float().masked_fill(closed, -torch.inf), 1)
    share = old.exp()
    gap = torch.where(closed, torch.zeros_like(own), share * (old.masked_fill(closed, 0) - own.masked_fill(closed, 0)))
    return gap.sum(1).mean()


def annotated_objective(
    start: torch.nn.Module | None, keep: float, *, loss: Callable[[Tensor, Tensor], Tensor] = marginal_loss
) -> Objective:
    """Give what is minimized on annotated examples.

    Parameters
    ----------
    start : Module or None
        The network at the start, whose answers are kept where outlines leave open what is right.
    keep : float
        Weight of keeping them.
    loss : callable, optional
        What outlines ask of the logits.

    Returns
    -------
    Objective
        For batches of channels, facts and targets.
    """
    teacher = None if start is None else copy.deepcopy(start).eval().requires_grad_(requires_grad=False)

    def objective(model: torch.nn.Module, batch: tuple[Tensor, ...], _: int) -> tuple[Tensor, dict[str, float]]:
        channels, facts, target = batch
        channels = channels.contiguous(memory_format=torch.channels_last_3d)
        logits = model(channels, facts)
        fitted = loss(logits, target)
        if teacher is None:
            return fitted, {"fit": float(fitted.detach())}
        with torch.no_grad():
            known = teacher.to(channels.device)(channels, facts)
        kept = keeping_loss(logits, known, target)
        return fitted + keep * kept, {"fit": float(fitted.detach()), "keep": float(kept.detach())}

    return objective
