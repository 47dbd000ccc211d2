"""Folds: who is tested when. One plain record that every model, network and reader is measured with.

A patient is never on both sides. Folds are made once, written to a file with their seed, and read by whatever trains.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.inputs import binary, patient_codes
from spondyl.evaluation.records import Record, Table, flag_notes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    Rows = NDArray[np.intp]

VERSION = 1
"""Version of the file of folds."""


@dataclass(frozen=True, eq=False)
class Folds(Record):
    """Which case is tested in which fold.

    Parameters
    ----------
    cases : tuple of str
        Name of each case, a pseudonym, each of its own.
    patients : tuple of str
        Pseudonym of the patient of each case.
    fold : ndarray of int, shape (n_cases,)
        The fold in which each case is tested, from 0.
    names : tuple of str
        Name of each fold, such as the site left out.
    scheme : str
        How they were made.
    seed : int
        Seed of the draw, from which the seeds of all that is fitted follow.
    flags : tuple of str
        What limits them.

    Raises
    ------
    InputError
        If a case has no name of its own, or a fold tests nobody or leaves nobody to train on.
    """

    cases: tuple[str, ...]
    patients: tuple[str, ...]
    fold: Rows
    names: tuple[str, ...]
    scheme: str
    seed: int = 0
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        fold = np.array(self.fold, dtype=np.intp)
        if not len(self.cases) == len(self.patients) == len(fold) > 0:
            msg = f"each case needs a patient and a fold, got {len(self.cases)}, {len(self.patients)} and {len(fold)}"
            raise InputError(msg)
        if len(set(self.cases)) < len(self.cases):
            msg = f"each case needs a name of its own, got {len(set(self.cases))} names for {len(self.cases)} cases"
            raise InputError(msg)
        if fold.min() < 0 or fold.max() >= len(self.names):
            msg = f"folds must be numbered from 0 to {len(self.names) - 1}, got {fold.min()} to {fold.max()}"
            raise InputError(msg)
        fold.setflags(write=False)
        object.__setattr__(self, "fold", fold)
        for number, name in enumerate(self.names):
            if not self.test_rows(number).size or not self.train_rows(number).size:
                msg = f"fold {number} ({name}) must test somebody and leave somebody to train on: take fewer folds"
                raise InputError(msg)

    def __len__(self) -> int:
        return len(self.names)

    def test_rows(self, number: int) -> Rows:
        """Give the cases tested in a fold.

        Parameters
        ----------
        number : int
            The fold, from 0.

        Returns
        -------
        ndarray of int
            Rows.
        """
        return np.flatnonzero(self.fold == number)

    def train_rows(self, number: int) -> Rows:
        """Give the cases that may be trained on when a fold is tested.

        Parameters
        ----------
        number : int
            The fold, from 0.

        Returns
        -------
        ndarray of int
            Rows: all of the other folds, less those of patients who are tested in this one.
        """
        names = np.asarray(self.patients)
        return np.flatnonzero((self.fold != number) & ~np.isin(names, names[self.fold == number]))

    def split(self) -> Iterator[tuple[Rows, Rows]]:
        """Go through the folds.

        Yields
        ------
        train, test : ndarray of int
            Rows of each side.
        """
        for number in range(len(self)):
            yield self.train_rows(number), self.test_rows(number)

    def inner(self, number: int, k: int, truth: ArrayLike | None = None) -> tuple[Rows, Folds]:
        """Make folds inside the training side of a fold, to choose settings without looking at the tested cases.

        Parameters
        ----------
        number : int
            The fold, from 0.
        k : int
            Inner folds.
        truth : array_like of bool, shape (n_cases,), optional
            Outcome of all cases, to stratify by.

        Returns
        -------
        rows : ndarray of int
            Rows of the training side.
        folds : Folds
            Folds of those rows.
        """
        rows = self.train_rows(number)
        outcome = None if truth is None else np.asarray(truth)[rows]
        cases, patients = ([v[i] for i in rows] for v in (self.cases, self.patients))
        return rows, patient_folds(cases, patients, k, truth=outcome, seed=self.seed_of(number))

    def seed_of(self, number: int) -> int:
        """Give the seed for what is fitted in a fold.

        Parameters
        ----------
        number : int
            The fold, from 0.

        Returns
        -------
        int
            The same for the same folds, other for each fold.
        """
        return int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])

    @property
    def fingerprint(self) -> str:
        """Tells whether predictions were made with these folds: a SHA-256 of cases, patients and folds."""
        content = json.dumps([self.cases, self.patients, self.fold.tolist()])
        return hashlib.sha256(content.encode()).hexdigest()

    def table(self) -> Table:
        """Show the sizes.

        Returns
        -------
        Table
            One row per fold.
        """
        names = np.asarray(self.patients)
        rows = [
            (name, len(train), len(test), len(np.unique(names[test])))
            for name, (train, test) in zip(self.names, self.split(), strict=True)
        ]
        notes = (f"{self.scheme}; seed {self.seed}", *flag_notes(self.flags))
        return Table.of("Folds", ("fold", "cases to train", "cases to test", "patients to test"), rows, notes)

    def to_dict(self) -> dict[str, Any]:
        """Turn the folds into what JSON can hold.

        Returns
        -------
        dict
            Fields by name, with a version.
        """
        return {"version": VERSION, **super().to_dict()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Folds:
        """Read what `to_dict` gave.

        Parameters
        ----------
        content : dict
            Fields by name.

        Returns
        -------
        Folds
            The folds.

        Raises
        ------
        InputError
            If a field is missing or the version is not known.
        """
        try:
            version, fields = content["version"], ("cases", "patients", "fold", "names", "scheme", "seed", "flags")
            values = [content[f] for f in fields]
        except (KeyError, TypeError) as error:
            msg = "this is no file of folds: make it anew"
            raise InputError(msg) from error
        if version != VERSION:
            msg = f"folds of version {VERSION} are wanted, got version {version}: make them anew"
            raise InputError(msg)
        cases, patients, fold, names, scheme, seed, flags = values
        return cls(tuple(cases), tuple(patients), np.array(fold), tuple(names), scheme, seed, tuple(flags))


def patient_folds(
    cases: Sequence[str],
    patients: Sequence[str],
    k: int,
    *,
    truth: ArrayLike | None = None,
    sites: Sequence[str] | None = None,
    seed: int = 0,
) -> Folds:
    """Deal patients into k folds of like size and like mix.

    Parameters
    ----------
    cases, patients : sequence of str, length n_cases
        Name of each case and of its patient.
    k : int
        Number of folds.
    truth : array_like of bool, shape (n_cases,), optional
        Outcome; patients with and without a positive case are dealt apart.
    sites : sequence of str, length n_cases, optional
        Site of each case; patients of each site are dealt apart.
    seed : int, optional
        Seed of the draw.

    Returns
    -------
    Folds
        A patient with many cases goes to the fold with the fewest cases of that kind.

    Raises
    ------
    InputError
        If the columns do not fit.
    SettingsError
        If there are fewer than two folds or more folds than patients.
    """
    n = len(cases)
    codes = patient_codes(patients, n)
    n_patients = int(codes.max(initial=-1)) + 1
    if not 2 <= k <= n_patients:
        msg = f"k must lie from 2 to the number of patients ({n_patients}), got {k}"
        raise SettingsError(msg)
    kind = _kinds(codes, truth, sites)
    rng = np.random.default_rng(seed)
    sizes = np.bincount(codes)
    order = rng.permutation(n_patients)
    order = order[np.argsort(-sizes[order], kind="stable")]
    of_patient = np.empty(n_patients, np.intp)
    total = np.zeros(k)
    thin = 0
    for value in np.unique(kind):
        members = order[kind[order] == value]
        thin += len(members) < k
        load = np.zeros(k)
        for patient in members:
            chosen = int(np.lexsort((rng.permutation(k), total, load))[0])
            of_patient[patient] = chosen
            load[chosen] += sizes[patient]
            total[chosen] += sizes[patient]
    flags = (f"{thin} kinds of patients are fewer than the folds: some folds test none of them",) if thin else ()
    by = [w for w, given in (("outcome", truth), ("site", sites)) if given is not None]
    scheme = f"{k}-fold, grouped by patient" + (f", stratified by {' and '.join(by)}" if by else "")
    names = tuple(f"fold {i + 1}" for i in range(k))
    return Folds(tuple(map(str, cases)), tuple(map(str, patients)), of_patient[codes], names, scheme, seed, flags)


def site_folds(cases: Sequence[str], patients: Sequence[str], sites: Sequence[str], *, seed: int = 0) -> Folds:
    """Leave out one site at a time: how well does a model travel.

    Parameters
    ----------
    cases, patients, sites : sequence of str, length n_cases
        Name of each case, of its patient and of its site.
    seed : int, optional
        Seed for what is fitted.

    Returns
    -------
    Folds
        One fold per site. Patients seen at several sites are never trained on while tested.

    Raises
    ------
    InputError
        If the columns do not fit or there is one site only.
    """
    names, fold = np.unique(np.asarray(sites, dtype=str), return_inverse=True)
    if len(names) < 2:
        msg = f"leaving out a site needs at least two sites, got {names.tolist()}"
        raise InputError(msg)
    pairs = len({*zip(patients, sites, strict=False)})
    shared = pairs - len(set(patients))
    flags = (f"{shared} times a patient was seen at a further site: not trained on while tested",) if shared else ()
    scheme = "leave one site out, grouped by patient"
    cases, patients = tuple(map(str, cases)), tuple(map(str, patients))
    return Folds(cases, patients, fold, tuple(names.tolist()), scheme, seed, flags)


def _kinds(codes: Rows, truth: ArrayLike | None, sites: Sequence[str] | None) -> Rows:
    """A number for each patient: those of one kind are dealt apart from the others."""
    n = int(codes.max()) + 1
    kind = np.zeros(n, np.intp)
    if truth is not None:
        positive = binary(truth)
        if len(positive) != len(codes):
            msg = f"truth must have one value per case ({len(codes)}), got {len(positive)}"
            raise InputError(msg)
        kind = (np.bincount(codes, weights=positive, minlength=n) > 0).astype(np.intp)
    if sites is not None:
        site = patient_codes(sites, len(codes))
        first = np.full(n, -1, np.intp)
        first[codes[::-1]] = site[::-1]
        kind = kind * (int(site.max()) + 1) + first
    return kind
