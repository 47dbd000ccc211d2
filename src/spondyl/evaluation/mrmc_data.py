"""What readers scored: one table of scores by modality, reader and case, and the design it follows.

Readings come as long columns, one row per reading, as studies are kept; statistics want an array. Between the two stand
the checks: each case has a truth, nobody read a case twice in a modality, and what is missing is known to be missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.records import Record, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


class Design(StrEnum):
    """Who read what; the analysis follows from it (Hillis 2014, doi 10.1002/sim.5926)."""

    CROSSED = "every reader reads every case in every modality"
    SPLIT_PLOT = "groups of readers read their own cases in every modality"
    CASES_IN_READERS = "every reader reads cases of their own in every modality"
    CASES_IN_MODALITIES = "each modality has cases of its own"
    READERS_IN_MODALITIES = "each modality has readers of its own"
    INCOMPLETE = "readings are missing without a pattern"


@dataclass(frozen=True, eq=False)
class ReaderStudy(Record):
    """Scores of readers on cases in modalities, with the truth.

    Parameters
    ----------
    modalities, readers, cases : tuple of str
        Names, in the order of the axes of `scores`.
    truth : ndarray of bool, shape (n_cases,)
        True where the case is positive (diseased).
    scores : ndarray of float, shape (n_modalities, n_readers, n_cases)
        Higher is more suspicious; NaN where there is no reading.

    Raises
    ------
    InputError
        If shapes do not fit, names repeat, or a score is infinite.
    """

    modalities: tuple[str, ...]
    readers: tuple[str, ...]
    cases: tuple[str, ...]
    truth: NDArray[np.bool_]
    scores: Floats

    def __post_init__(self) -> None:
        truth, scores = np.asarray(self.truth, dtype=bool), np.array(self.scores, dtype=np.float64)
        names = self.modalities, self.readers, self.cases
        wanted = tuple(len(n) for n in names)
        if scores.shape != wanted or truth.shape != wanted[2:]:
            msg = (
                f"scores must have shape (modalities, readers, cases) {wanted}, got {scores.shape}; truth {truth.shape}"
            )
            raise InputError(msg)
        if any(len(set(n)) != len(n) for n in names) or 0 in wanted:
            msg = f"modalities, readers and cases need at least one name each, and none twice; got {wanted} names"
            raise InputError(msg)
        if np.isinf(scores).any():
            msg = f"scores must be finite, or missing; got {int(np.isinf(scores).sum())} infinite ones"
            raise InputError(msg)
        scores.setflags(write=False)
        object.__setattr__(self, "truth", truth)
        object.__setattr__(self, "scores", scores)

    @cached_property
    def read(self) -> NDArray[np.bool_]:
        """Which readings there are, shape (n_modalities, n_readers, n_cases)."""
        return ~np.isnan(self.scores)

    @property
    def n_positive(self) -> int:
        """Number of positive cases."""
        return int(self.truth.sum())

    @property
    def n_negative(self) -> int:
        """Number of negative cases."""
        return len(self.cases) - self.n_positive

    @cached_property
    def case_groups(self) -> tuple[int, ...]:
        """For each reader the number, from 0, of the set of cases that reader read in some modality."""
        seen: dict[bytes, int] = {}
        return tuple(seen.setdefault(row.tobytes(), len(seen)) for row in np.atleast_2d(self.read.any(axis=0)))

    @cached_property
    def design(self) -> Design:
        """The design that the readings follow."""
        read = self.read
        if read.all():
            return Design.CROSSED
        if (read.any(axis=2).sum(axis=0) == 1).all() and len(self.modalities) > 1:
            return Design.READERS_IN_MODALITIES
        if _alike(read, axis=0):
            return self._grouped_design()
        if _alike(read, axis=1) and _disjoint(read[:, 0]):
            return Design.CASES_IN_MODALITIES
        return Design.INCOMPLETE

    def _grouped_design(self) -> Design:
        groups = np.asarray(self.case_groups)
        sizes = np.bincount(groups)
        first = [int(np.flatnonzero(groups == g)[0]) for g in range(len(sizes))]
        if not _disjoint(self.read[0, first]) or len(sizes) < 2 or len(set(sizes.tolist())) > 1:
            return Design.INCOMPLETE
        return Design.CASES_IN_READERS if sizes[0] == 1 else Design.SPLIT_PLOT

    def select(
        self,
        *,
        modalities: Sequence[str] | None = None,
        readers: Sequence[str] | None = None,
        cases: NDArray[np.bool_] | None = None,
    ) -> ReaderStudy:
        """Give a part of the study.

        Parameters
        ----------
        modalities, readers : sequence of str, optional
            Names to keep, in the order wanted; all if not given.
        cases : ndarray of bool, shape (n_cases,), optional
            Which cases to keep; all if not given.

        Returns
        -------
        ReaderStudy
            The part.

        Raises
        ------
        InputError
            If a name is not in the study.
        """
        m = _positions(modalities, self.modalities, "modality")
        r = _positions(readers, self.readers, "reader")
        c = np.arange(len(self.cases)) if cases is None else np.flatnonzero(cases)
        return ReaderStudy(
            tuple(self.modalities[i] for i in m),
            tuple(self.readers[i] for i in r),
            tuple(self.cases[i] for i in c),
            self.truth[c],
            self.scores[np.ix_(np.array(m), np.array(r), c)],
        )

    def table(self) -> Table:
        """Count readings by reader and modality.

        Returns
        -------
        Table
            One row per reader.
        """
        rows = [(name, *self.read[:, i].sum(axis=1).tolist()) for i, name in enumerate(self.readers)]
        title = f"{len(self.cases)} cases ({self.n_positive} positive), {self.design}"
        return Table.of(title, ("reader", *self.modalities), rows)

    def to_dict(self) -> dict[str, Any]:
        """Give names and counts; scores stay in their table.

        Returns
        -------
        dict
            What JSON can hold.
        """
        return {
            "design": self.design.name.lower(),
            "design_in_words": str(self.design),
            "modalities": list(self.modalities),
            "readers": list(self.readers),
            "n_cases": len(self.cases),
            "n_positive": self.n_positive,
            "n_negative": self.n_negative,
            "n_readings": int(self.read.sum()),
            "n_readings_missing": int((~self.read).sum()),
        }


def _alike(read: NDArray[np.bool_], axis: int) -> bool:
    return bool((read == read.take([0], axis=axis)).all())


def _disjoint(sets: NDArray[np.bool_]) -> bool:
    return bool((sets.sum(axis=0) <= 1).all())


def _positions(names: Sequence[str] | None, known: tuple[str, ...], kind: str) -> list[int]:
    if names is None:
        return list(range(len(known)))
    unknown = [n for n in names if n not in known]
    if unknown:
        msg = f"expected a {kind} of the study ({', '.join(known)}), got {', '.join(unknown)}. Check the spelling"
        raise InputError(msg)
    return [known.index(n) for n in names]


def arrange_readings(
    reader: Sequence[str],
    case: Sequence[str],
    modality: Sequence[str],
    score: ArrayLike,
    truth: Mapping[str, bool],
) -> ReaderStudy:
    """Arrange readings, one per row, as a study.

    Parameters
    ----------
    reader, case, modality : sequence of str, length n
        Who read which case in which modality.
    score : array_like of float, shape (n,)
        The score given; NaN counts as not read.
    truth : mapping of str to bool
        Whether each case is positive.

    Returns
    -------
    ReaderStudy
        Names in the order in which they first appear; cases that nobody read are left out.

    Raises
    ------
    InputError
        If there are no readings, a case has no truth, or a reader read a case twice in a modality.

    Examples
    --------
    >>> study = arrange_readings(
    ...     ["A", "A", "B", "B"], ["1", "2", "1", "2"], ["MRI"] * 4, [0.2, 0.9, 0.4, 0.8], {"1": False, "2": True}
    ... )
    >>> study.scores.shape, study.design.name
    ((1, 2, 2), 'CROSSED')
    """
    values = np.asarray(score, dtype=np.float64)
    lengths = {"reader": len(reader), "case": len(case), "modality": len(modality), "score": values.size}
    if len(set(lengths.values())) != 1 or values.ndim != 1 or not values.size:
        msg = f"readings need one reader, case, modality and score per row and at least one row, got {lengths}"
        raise InputError(msg)
    lacking = [row for row, name in enumerate(case, 1) if name not in truth]
    if lacking:
        n = len(set(case) - set(truth))
        msg = f"every case read needs a truth; {n} have none (first: reading {lacking[0]}). Add a truth row for each"
        raise InputError(msg)
    modalities, readers, cases = (tuple(dict.fromkeys(column)) for column in (modality, reader, case))
    at = _codes(modality, modalities), _codes(reader, readers), _codes(case, cases)
    scores = np.full((len(modalities), len(readers), len(cases)), np.nan)
    _refuse_repeats(np.ravel_multi_index(at, scores.shape))
    scores[at] = values
    return ReaderStudy(modalities, readers, cases, np.array([truth[c] for c in cases], dtype=bool), scores)


def _codes(column: Sequence[str], known: tuple[str, ...]) -> NDArray[np.intp]:
    number = {name: i for i, name in enumerate(known)}
    return np.fromiter((number[name] for name in column), dtype=np.intp, count=len(column))


def _refuse_repeats(cell: NDArray[np.intp]) -> None:
    order = np.argsort(cell, kind="stable")
    again = np.flatnonzero(np.diff(cell[order]) == 0)
    if again.size:
        first, second = order[again[0]] + 1, order[again[0] + 1] + 1
        msg = (
            f"a reader must read a case once in a modality; {again.size} readings come again (first: readings {first} "
            f"and {second}). Keep one of them, or give repeated sessions different modality names"
        )
        raise InputError(msg)
