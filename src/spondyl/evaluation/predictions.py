"""Predictions out of fold, kept in a folder, so that a run can be taken up again and models meet in one table.

::

    FOLDER/folds.json                       the folds (`Folds.to_dict`)
    FOLDER/MODEL/fold-00.json               {"model", "fold", "fingerprint", "scores": {case: score}, "notes"}

Whatever trains, in whatever language, may write the small files of a fold; a reader's scores are written for all folds
at once.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core.errors import InputError, OutputError
from spondyl.evaluation.folds import Folds
from spondyl.evaluation.inputs import finite_vector
from spondyl.evaluation.records import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,63}")
"""What a model may be called, since it names a folder."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Scores of one model, each made by a fit that had not seen the case.

    Parameters
    ----------
    model : str
        Its name.
    scores : ndarray of float, shape (n_cases,)
        In the order of the folds' cases.
    notes : tuple of mapping
        What each fold's fit had to say: seed, settings chosen, seconds.
    """

    model: str
    scores: NDArray[np.float64]
    notes: tuple[Mapping[str, Any], ...] = field(default=())


class PredictionStore:
    """A folder of predictions out of fold.

    Parameters
    ----------
    folder : Path or str
        Where; made when first written to.
    folds : Folds, optional
        The folds; read from the folder where left out.

    Raises
    ------
    InputError
        If the folder holds other folds, or none where none are given.
    """

    def __init__(self, folder: Path | str, folds: Folds | None = None) -> None:
        self.folder = Path(folder)
        path = self.folder / "folds.json"
        known = Folds.from_dict(_read_json(path)) if path.exists() else None
        if folds is None and known is None:
            msg = f"no folds in {self.folder.name}: give them when the first model is run"
            raise InputError(msg)
        if folds is not None and known is not None and folds.fingerprint != known.fingerprint:
            msg = f"{self.folder.name} holds predictions with other folds: use another folder"
            raise InputError(msg)
        self.folds: Folds = known or folds  # type: ignore[assignment]
        if known is None:
            _write_json(path, self.folds.to_dict())

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that have at least one fold."""
        return tuple(sorted({p.parent.name for p in self.folder.glob("*/fold-*.json")}))

    def has(self, model: str, number: int) -> bool:
        """Say whether a fold is done.

        Parameters
        ----------
        model : str
            The model.
        number : int
            The fold, from 0.

        Returns
        -------
        bool
            True if its file is there.
        """
        return self._path(model, number).exists()

    def write(
        self, model: str, number: int, scores: Mapping[str, float], notes: Mapping[str, Any] | None = None
    ) -> None:
        """Keep the predictions of one fold.

        Parameters
        ----------
        model : str
            The model.
        number : int
            The fold, from 0.
        scores : mapping of str to float
            Score of every case tested in that fold, by name.
        notes : mapping of str to object, optional
            Seed, settings, seconds.

        Raises
        ------
        InputError
            If a case is missing, foreign to the fold, or has no finite score.
        OutputError
            If the file cannot be written; nothing is left half-written.
        """
        wanted = {self.folds.cases[i] for i in self.folds.test_rows(number)}
        if set(scores) != wanted:
            counts = f"{len(wanted - set(scores))} are missing and {len(set(scores) - wanted)} do not belong"
            msg = f"fold {number} of {model} needs a score for each of its {len(wanted)} cases, but {counts}"
            raise InputError(msg)
        finite_vector(list(scores.values()), f"scores of {model} in fold {number}")
        content = {"model": model, "fold": number, "fingerprint": self.folds.fingerprint}
        content |= {"scores": {k: float(v) for k, v in scores.items()}, "notes": plain(dict(notes or {}))}
        _write_json(self._path(model, number), content)

    def write_all(self, model: str, scores: ArrayLike, notes: Mapping[str, Any] | None = None) -> None:
        """Keep scores that depend on no training here: a reader's, or those of a model made elsewhere.

        Parameters
        ----------
        model : str
            The reader or model.
        scores : array_like of float, shape (n_cases,)
            In the order of the folds' cases.
        notes : mapping of str to object, optional
            What there is to say.

        Raises
        ------
        InputError
            If there is not one finite score per case.
        """
        values = finite_vector(scores, f"scores of {model}")
        if len(values) != len(self.folds.cases):
            msg = f"{model} needs one score for each of {len(self.folds.cases)} cases, got {len(values)}"
            raise InputError(msg)
        for number in range(len(self.folds)):
            rows = self.folds.test_rows(number)
            self.write(model, number, {self.folds.cases[i]: values[i] for i in rows}, notes)

    def read(self, model: str) -> Predictions:
        """Give the predictions of all folds.

        Parameters
        ----------
        model : str
            The model.

        Returns
        -------
        Predictions
            One score per case.

        Raises
        ------
        InputError
            If a fold is missing, or was made with other folds.
        """
        missing = [n for n in range(len(self.folds)) if not self.has(model, n)]
        if missing:
            which = ", ".join(map(str, missing))
            msg = f"{model} has not run in folds {which} of {len(self.folds)}: run it again to go on"
            raise InputError(msg)
        contents = [_read_json(self._path(model, n)) for n in range(len(self.folds))]
        place = {case: i for i, case in enumerate(self.folds.cases)}
        scores = np.full(len(place), np.nan)
        for number, content in enumerate(contents):
            if content.get("fingerprint") != self.folds.fingerprint:
                msg = f"fold {number} of {model} was predicted with other folds: delete it and run it again"
                raise InputError(msg)
            for case, score in content["scores"].items():
                scores[place[case]] = score
        finite_vector(scores, f"scores of {model}")
        return Predictions(model, scores, tuple(c["notes"] for c in contents))

    def _path(self, model: str, number: int) -> Path:
        if not SAFE_NAME.fullmatch(model):
            msg = f"a model's name is made of up to 64 letters, digits, spaces and . _ + -; got {model!r}"
            raise InputError(msg)
        return self.folder / model / f"fold-{number:02d}.json"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path.name} in {path.parent.name} cannot be read: delete it and run that part again"
        raise InputError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path.name} in {path.parent.name} must hold a JSON object: delete it and run that part again"
        raise InputError(msg)
    return content


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Write beside, then rename: a run that is cut off leaves no half file."""
    beside = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(content, indent=1), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        msg = f"{path.name} cannot be written: {error.strerror}"
        raise OutputError(msg) from error
