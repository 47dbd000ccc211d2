"""Ask the classifiers what the vertebrae and lesions of a study are, together, and how far they can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from spondyl.core import ModelError
from spondyl.models.confidence import group, softmax
from spondyl.models.crops import CROP_FACTS, cut, tokens_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spondyl.models.card import ModelCard
    from spondyl.models.crops import Site
    from spondyl.models.study import Study


LEAST_TOKENS = 16
"""OpenVINO 2026 crashes where it compiles attention over 8 tokens or fewer, so that none fewer than these are given."""


class Classifier(Protocol):
    """What is needed of a network that classifies."""

    @property
    def card(self) -> ModelCard:
        """What it is and how it is run."""

    @property
    def name(self) -> str:
        """Name and version."""

    @property
    def sha256(self) -> str:
        """Hash of its weights."""

    def run(self, *inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run the graph.

        Parameters
        ----------
        *inputs : ndarray of float32
            The graph's inputs, in its order.

        Returns
        -------
        list of ndarray of float32
            The graph's outputs, in its order.
        """


class Scheme(NamedTuple):
    """What the output of a classifier means.

    Parameters
    ----------
    classes : tuple of str
        Names of the classes.
    subtypes : tuple of str
        Names of the subtypes, in the order of the output.
    groups : tuple of int
        Class of each subtype.
    temperature : float
        Divides the logits.
    takes_tokens : bool
        Whether it looks at all sequences of all sites as tokens, or at the crop of one site.
    """

    classes: tuple[str, ...]
    subtypes: tuple[str, ...]
    groups: tuple[int, ...]
    temperature: float
    takes_tokens: bool


class Opinions(NamedTuple):
    """What the classifiers say of each site of a study.

    Parameters
    ----------
    subtypes : ndarray of float, shape (n_sites, n_subtypes)
        Weighted mean probability of each subtype.
    classes : ndarray of float, shape (n_sites, n_classes)
        The same by class.
    disagreement : ndarray of float, shape (n_sites,)
        Largest standard deviation between networks, weighted, of the probability of a class, from 0 to 0.5.
    activation : ndarray of float32, shape (n_sites, i, j, k)
        What each place of the crop adds to the evidence for malignancy, mean of those networks that tell.
    activation_say : float
        Weight of these networks in the classes, from 0 to 1: how far the activation is the reason for a class.
    """

    subtypes: NDArray[np.float64]
    classes: NDArray[np.float64]
    disagreement: NDArray[np.float64]
    activation: NDArray[np.float32]
    activation_say: float


def scheme_of(card: ModelCard) -> Scheme:
    """Read what the output of a classifier means.

    Parameters
    ----------
    card : ModelCard
        Its card.

    Returns
    -------
    Scheme
        Classes, subtypes and temperature.

    Raises
    ------
    ModelError
        If it is not the card of a classifier.
    """
    table: Any = card.details.get("classification")
    try:
        classes, subtypes = tuple(table["classes"]), tuple(table["subtypes"])
        groups = tuple(classes.index(name) for name in table["class_of_subtype"])
        scheme = Scheme(classes, subtypes, groups, float(table["temperature"]), bool(table["takes_tokens"]))
    except (TypeError, KeyError, ValueError) as error:
        msg = f"a classifier is wanted, {card.name} is none or its card is damaged; name another model"
        raise ModelError(msg) from error
    if len(groups) != len(subtypes):
        msg = f"the card of {card.name} names {len(subtypes)} subtypes, but {len(groups)} classes; install it again"
        raise ModelError(msg)
    return scheme


def classify(
    study: Study, sites: Sequence[Site], masks: Sequence[NDArray[np.bool_]], networks: Sequence[Classifier]
) -> Opinions:
    """Ask several classifiers and average what they say, each with the weight that the first one's card tells.

    Parameters
    ----------
    study : Study
        From `spondyl.models.study.study_of`.
    sites : sequence of Site
        Vertebrae and lesions; at least one.
    masks : sequence of ndarray of bool, each of shape ``study.grid.shape``
        The vertebra or lesion that is meant at each site.
    networks : sequence of Classifier
        At least one; all with the same subtypes.

    Returns
    -------
    Opinions
        One row for each site.

    Raises
    ------
    ModelError
        If a network is no classifier, or they do not name the same subtypes.
    """
    schemes = [scheme_of(network.card) for network in networks]
    first = schemes[0]
    if any(s.subtypes != first.subtypes or s.groups != first.groups for s in schemes):
        msg = "classifiers that are asked together must name the same subtypes; name models that were trained together"
        raise ModelError(msg)
    spacing_mm = study.grid.spacing_mm
    crops = np.stack([cut(study.channels, m, s, spacing_mm) for s, m in zip(sites, masks, strict=True)])
    facts = np.zeros((len(sites), CROP_FACTS), np.float32)
    facts[:, :-1], facts[:, -1] = study.facts, [site.is_lesion for site in sites]
    subtypes, activations = [], []
    for network, scheme in zip(networks, schemes, strict=True):
        if scheme.takes_tokens:
            logits = _by_tokens(network, crops, facts, sites)
        else:
            logits, seen = network.run(crops.astype(np.float32), facts)
            activations.append(seen)
        subtypes.append(softmax(logits, scheme.temperature))
    n_classes = len(first.classes)
    classes = np.stack([group(p, first.groups, n_classes) for p in subtypes])
    activation = np.mean(activations, axis=0) if activations else np.zeros((len(sites), 1, 1, 1))
    weights = _weights(networks)
    mean, of_classes = (np.tensordot(weights, p, 1) for p in (np.stack(subtypes), classes))
    disagreement = np.sqrt(np.tensordot(weights, (classes - of_classes) ** 2, 1)).max(1)
    say = float(sum(weight for weight, scheme in zip(weights, schemes, strict=True) if not scheme.takes_tokens))
    return Opinions(mean, of_classes, disagreement, activation.astype(np.float32), say)


def _weights(networks: Sequence[Classifier]) -> NDArray[np.float64]:
    """Weight of each network; all alike unless they were weighed against each other."""
    table: Any = networks[0].card.details.get("ensemble", {})
    told = dict(zip(table.get("members", ()), table.get("weights", ()), strict=False))
    known = [float(told.get(network.card.name, 0.0)) for network in networks]
    weighed = set(told) == {network.card.name for network in networks} and sum(known) > 0
    return np.array(known) / sum(known) if weighed else np.full(len(networks), 1 / len(networks))


def _by_tokens(
    network: Classifier, crops: NDArray[np.float32], facts: NDArray[np.float32], sites: Sequence[Site]
) -> NDArray[np.float32]:
    tokens = tokens_of(crops, facts)
    position = np.array([site.position for site in sites], np.float32)[tokens.site]
    inputs = (tokens.crops, tokens.facts, tokens.slot, position, tokens.site)
    # Attention weighs copies of all tokens as it weighs the tokens, so the answer stays the same.
    copies = -(-LEAST_TOKENS // len(tokens.site))
    (logits,) = network.run(*(np.concatenate([np.asarray(i, np.float32)] * copies) for i in inputs))
    return logits[np.searchsorted(tokens.site, np.arange(len(sites)))]
