"""The road of one patient as one explicit table.

A new algorithm enters here, in one line; nothing registers itself and nothing is searched for in folders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from spondyl import __version__
from spondyl.core import Case, ModelError
from spondyl.harmonize.align import align, early_looks, first_look
from spondyl.harmonize.step import harmonize
from spondyl.lesions.classify import classify_findings, study_to_classify
from spondyl.lesions.explain import explain_findings
from spondyl.lesions.scores import score_findings
from spondyl.lesions.step import find_lesions
from spondyl.localize.step import localize
from spondyl.risk.step import assess_risk
from spondyl.socce.step import embed_case

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spondyl.core.at_once import Beside
    from spondyl.models import Network
    from spondyl.pipeline.settings import Settings


class Step(Protocol):
    """What the road is made of: a case in, a new case out, the given one unchanged."""

    @property
    def name(self) -> str:
        """Name in the history, the settings and the timings."""

    @property
    def version(self) -> str:
        """Version of the algorithm."""

    @property
    def optional(self) -> bool:
        """Whether the result stands without this step."""

    def begin(self, after: str, case: Case, beside: Beside) -> None:
        """Begin what can begin after a step.

        Parameters
        ----------
        after : str
            Name of the step that is done.
        case : Case
            The record after it.
        beside : Beside
            Does it.
        """

    def __call__(self, case: Case, beside: Beside | None = None) -> Case:
        """Give the next record.

        Parameters
        ----------
        case : Case
            The record so far.
        beside : Beside, optional
            Where part of the step may have begun.

        Returns
        -------
        Case
            The next record.
        """


@dataclass(frozen=True)
class Ahead:
    """What of a step can begin long before it, beside the steps between.

    Parameters
    ----------
    after : str
        Name of the step after which it can begin.
    function : callable
        ``function(case, settings, **networks)``, as the step itself is called; what it gives, the step gets as
        ``ahead``, or the next of its functions that begins later.
    """

    after: str
    function: Callable[..., Any]


@dataclass(frozen=True)
class StepEntry:
    """One line of the table: a step function and what it is given.

    Parameters
    ----------
    name : str
        Name of the step, and of its part of `Settings`.
    function : callable
        ``function(case, settings, **networks)``.
    networks : mapping of str to str
        Role of the network that each keyword argument of the function stands for; empty if it needs none.
    optional : bool
        True if a failure leaves the rest of the result standing.
    ahead : tuple of Ahead
        What of it begins early, one after the other.
    version : str
        Version of the step.
    """

    name: str
    function: Callable[..., Case]
    networks: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False
    ahead: tuple[Ahead, ...] = ()
    version: str = __version__

    def bound(self, settings: Settings, networks: Mapping[str, Network]) -> Step:
        """Give the step with its settings and networks in place.

        Parameters
        ----------
        settings : Settings
            Settings of the whole analysis.
        networks : mapping of str to Network
            Loaded networks by role.

        Returns
        -------
        Step
            Ready to be called with a case.

        Raises
        ------
        ModelError
            If a network it needs was not given.
        """
        for role in self.networks.values():
            if role not in networks:
                msg = f"step {self.name} needs a network for {role!r}, got {sorted(networks) or 'none'}"
                raise ModelError(msg)
        arguments = {argument: networks[role] for argument, role in self.networks.items()}
        return BoundStep(self, getattr(settings, self.name, None), arguments)


@dataclass(frozen=True)
class BoundStep:
    """A line of the table with its settings and network in place.

    Parameters
    ----------
    entry : StepEntry
        The line.
    settings : object
        The step's own settings.
    arguments : dict
        Further keyword arguments.
    """

    entry: StepEntry
    settings: Any
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the step."""
        return self.entry.name

    @property
    def version(self) -> str:
        """Version of the step."""
        return self.entry.version

    @property
    def optional(self) -> bool:
        """Whether the result stands without this step."""
        return self.entry.optional

    def begin(self, after: str, case: Case, beside: Beside) -> None:
        """Begin what can begin after a step.

        Parameters
        ----------
        after : str
            Name of the step that is done.
        case : Case
            The record after it.
        beside : Beside
            Does it.
        """
        for ahead in self.entry.ahead:
            if ahead.after == after:
                begun = beside.taken(self.name) if self.name in beside else None
                beside.begin(self.name, _gone_on, partial(ahead.function, case, self.settings, **self.arguments), begun)

    def __call__(self, case: Case, beside: Beside | None = None) -> Case:
        """Give the next record.

        Parameters
        ----------
        case : Case
            The record so far; it stays as it is.
        beside : Beside, optional
            Where part of the step may have begun.

        Returns
        -------
        Case
            The next record.
        """
        begun = beside is not None and self.name in beside
        more = {"ahead": beside.result(self.name)} if beside is not None and begun else {}
        return self.entry.function(case, self.settings, **self.arguments, **more)


def _gone_on(function: Callable[..., Any], begun: Callable[[], Any] | None) -> Any:
    """Call a function with what began before it, if anything did."""
    return function() if begun is None else function(ahead=begun())


SPINE = "spine"
"""Role of the network that outlines structures."""

LESIONS = "lesions"
"""Role of the network that outlines lesions."""

CLASSIFIERS = ("vertebra context", "vertebra resnet", "vertebra densenet")
"""Roles of the networks that say what vertebrae and lesions are; they are asked together."""

STEPS: tuple[StepEntry, ...] = (
    StepEntry("harmonize", harmonize),
    StepEntry("localize", localize, {"network": SPINE}),
    StepEntry("lesions", find_lesions, {"network": LESIONS}, optional=True),
    StepEntry(
        "classify",
        classify_findings,
        dict(zip(("context", "resnet", "densenet"), CLASSIFIERS, strict=True)),
        optional=True,
        ahead=(Ahead("localize", study_to_classify),),
    ),
    StepEntry("explain", explain_findings, {"network": LESIONS}, optional=True),
    StepEntry("scores", score_findings, optional=True),
    StepEntry("align", align, optional=True, ahead=(Ahead("harmonize", early_looks), Ahead("localize", first_look))),
    StepEntry("socce", embed_case, optional=True),
    StepEntry("risk", assess_risk, optional=True),
)
"""The steps in their order."""
