"""Reader studies: which case somebody reads next, how, and what was said; without a name, in a random order.

The plan is that of `spondyl.evaluation.reading_order`, so a study run here is analyzed by ``spondyl readers analyze``
as it was designed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from spondyl.app.catalog import now
from spondyl.app.web.tables import reader_studies, readings, with_zone
from spondyl.app.web.true_lesions import judged
from spondyl.core import InputError
from spondyl.evaluation.reading_order import plan_cases, reading_order
from spondyl.io.reader_study import Reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNAIDED, AIDED = "unaided", "aided"
MODALITIES = (UNAIDED, AIDED)
"""Ways of reading: images alone, or with everything the software says."""

WASHOUT_DAYS = 28
"""Least time between sessions, so that cases are forgotten; four weeks are usual (FDA 2022, Clinical Performance
Assessment: Considerations for Computer-Assisted Detection Devices, section on reading sessions)."""

STANDALONE = "spondyl"
"""Name of the software among the readers of an export."""

CLOCK_SLACK_S = 5.0
"""A reading may be reported longer than the server saw by this: the clocks of two machines. Chosen by us."""


@dataclass(frozen=True)
class Design:
    """What an administrator chooses.

    Parameters
    ----------
    name : str
        Of the reader study.
    truth : mapping of str to bool
        Whether each case, by study key, is positive.
    readers : sequence of str
        Names of users.
    seed : int
        The same seed gives the same order.
    sequential : bool
        Whether each case is read unaided and then at once aided, instead of in two sessions.
    washout_days : int
        Least time between sessions.
    question : str
        What readers are asked to score.
    lesions : mapping of str to sequence of mapping
        True lesions by study key, as `spondyl.app.web.true_lesions` reads them; empty where only cases have a truth.
    """

    name: str
    truth: Mapping[str, bool]
    readers: Sequence[str]
    seed: int = 0
    sequential: bool = False
    washout_days: int = WASHOUT_DAYS
    question: str = "How suspicious is this study of spinal malignancy?"
    lesions: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One reading that somebody has to do.

    Parameters
    ----------
    id : int
        Its number.
    reader_study : int
        Which reader study.
    reader : str
        Name of the reader in the export.
    session, position : int
        Session, and place in it, from 1.
    case_code : str
        What the case is called here.
    study_key : str
        Which study it is; never shown.
    modality : str
        `UNAIDED` or `AIDED`.
    n_in_session, n_done : int
        Readings of this person in the session, and how many of them are done.
    not_before : datetime or None
        When it may be read, if that is in the future.
    begun_at : datetime or None
        When it was first opened.
    """

    id: int
    reader_study: int
    reader: str
    session: int
    position: int
    case_code: str
    study_key: str
    modality: str
    n_in_session: int
    n_done: int
    not_before: datetime | None = None
    begun_at: datetime | None = None


class ReaderStudies:
    """The reader studies of one database.

    Parameters
    ----------
    engine : Engine
        The database, with its tables made.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def create(self, design: Design, created_by: str) -> int:
        """Plan a reader study: codes for cases, and an order of reading for every reader.

        Parameters
        ----------
        design : Design
            What was chosen.
        created_by : str
            Name of a user.

        Returns
        -------
        int
            Its number.

        Raises
        ------
        InputError
            If the name is taken.
        SettingsError
            If there are too few cases of a class.
        """
        positive = [key for key, truth in sorted(design.truth.items()) if truth]
        negative = [key for key, truth in sorted(design.truth.items()) if not truth]
        n_blocks = 1 if design.sequential else len(MODALITIES)
        cases = plan_cases(len(positive), len(negative), n_blocks=n_blocks, seed=design.seed)
        tasks = reading_order(cases, len(design.readers), MODALITIES, sequential=design.sequential, seed=design.seed)
        rng = np.random.default_rng(design.seed)
        of_class = {True: iter(rng.permutation(positive)), False: iter(rng.permutation(negative))}
        study_of = {case.code: str(next(of_class[case.positive])) for case in cases}
        names = sorted({task.reader for task in tasks})
        user_of = dict(zip(names, rng.permutation(list(design.readers)).tolist(), strict=True))
        plan = {
            "cases": [{"code": c.code, "study_key": study_of[c.code], "positive": c.positive} for c in cases],
            "readers": user_of,
            "seed": design.seed,
            "sequential": design.sequential,
            "washout_days": 0 if design.sequential else design.washout_days,
            "question": design.question,
            "lesions": {key: list(found) for key, found in design.lesions.items()},
        }
        with self._engine.begin() as connection:
            try:
                row = {"name": design.name, "created_at": now(), "created_by": created_by, "is_open": True}
                made = connection.execute(reader_studies.insert().values(**row, plan=plan))
            except sa.exc.IntegrityError:
                msg = "there is a reader study of this name already; choose another name"
                raise InputError(msg) from None
            number = int(made.inserted_primary_key[0])  # type: ignore[index]
            rows = [
                {
                    "reader_study": number,
                    "user_name": user_of[task.reader],
                    "reader": task.reader,
                    "session": task.session,
                    "position": task.position,
                    "case_code": task.case,
                    "study_key": study_of[task.case],
                    "modality": task.modality,
                    "marks": [],
                    "comment": "",
                }
                for task in tasks
            ]
            connection.execute(readings.insert(), rows)
        return number

    def overview(self) -> list[dict[str, Any]]:
        """Give all reader studies with their progress.

        Returns
        -------
        list of dict
            The newest first, with ``n_readings`` and ``n_done``.
        """
        counted = (
            sa.select(
                readings.c.reader_study,
                sa.func.count().label("n_readings"),
                sa.func.count(readings.c.done_at).label("n_done"),
            )
            .group_by(readings.c.reader_study)
            .subquery()
        )
        query = sa.select(reader_studies, counted.c.n_readings, counted.c.n_done).join(
            counted, counted.c.reader_study == reader_studies.c.id
        )
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query.order_by(reader_studies.c.id.desc())).mappings()]

    def get(self, number: int) -> dict[str, Any]:
        """Give one reader study.

        Parameters
        ----------
        number : int
            Its number.

        Returns
        -------
        dict
            With its plan.

        Raises
        ------
        InputError
            If there is none.
        """
        found = next((row for row in self.overview() if row["id"] == number), None)
        if found is None:
            msg = "there is no such reader study"
            raise InputError(msg)
        return found

    def close(self, number: int) -> None:
        """End a reader study: nothing more is read, and its cases are shown to its readers again.

        Parameters
        ----------
        number : int
            Its number.
        """
        self.get(number)
        with self._engine.begin() as connection:
            connection.execute(reader_studies.update().where(reader_studies.c.id == number).values(is_open=False))

    def hidden_from(self, user_name: str) -> frozenset[str]:
        """Say which studies somebody must not see outside an open reader study.

        Parameters
        ----------
        user_name : str
            Who.

        Returns
        -------
        frozenset of str
            Study keys.
        """
        query = (
            sa.select(readings.c.study_key)
            .join(reader_studies, reader_studies.c.id == readings.c.reader_study)
            .where(readings.c.user_name == user_name, reader_studies.c.is_open)
        )
        with self._engine.connect() as connection:
            return frozenset(key for (key,) in connection.execute(query))

    def next_task(self, user_name: str) -> Task | None:
        """Give what somebody reads next.

        Parameters
        ----------
        user_name : str
            Who.

        Returns
        -------
        Task or None
            None if there is nothing left in an open reader study.
        """
        query = (
            sa.select(readings, reader_studies.c.plan)
            .join(reader_studies, reader_studies.c.id == readings.c.reader_study)
            .where(readings.c.user_name == user_name, reader_studies.c.is_open)
            .order_by(readings.c.reader_study, readings.c.session, readings.c.position)
        )
        with self._engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        waiting = [_task(row, rows) for row in rows if row["done_at"] is None]
        ready = [task for task in waiting if task.not_before is None]
        return next(iter(ready or waiting), None)

    def task(self, number: int, user_name: str) -> Task:
        """Give a reading that somebody may do now.

        Parameters
        ----------
        number : int
            Number of the reading.
        user_name : str
            Who.

        Returns
        -------
        Task
            The reading.

        Raises
        ------
        InputError
            If it is not the turn of this reading; the order is part of the design.
        """
        task = self.next_task(user_name)
        if task is None or task.id != number or task.not_before is not None:
            msg = "it is not the turn of this reading; take the next one from the list of readings"
            raise InputError(msg)
        return task

    def begin(self, task: Task) -> None:
        """Note that a reading was opened.

        Parameters
        ----------
        task : Task
            Which.
        """
        chosen = sa.and_(readings.c.id == task.id, readings.c.begun_at.is_(None))
        with self._engine.begin() as connection:
            connection.execute(readings.update().where(chosen).values(begun_at=now()))

    def finish(self, task: Task, *, score: float, seconds: float, marks: list[dict[str, Any]], comment: str) -> None:
        """Keep a reading, for good.

        Parameters
        ----------
        task : Task
            Which.
        score : float
            Suspicion from 0 to 100.
        seconds : float
            Time spent looking at it, as the page measured it.
        marks : list of dict
            Places marked: ``point_lps_mm`` and ``score``.
        comment : str
            Free text.

        Raises
        ------
        InputError
            If it was never opened, is done already, or the time is longer than it was open.
        """
        at = now()
        if task.begun_at is None:
            msg = "a reading must be opened before it is finished"
            raise InputError(msg)
        if seconds > (at - task.begun_at).total_seconds() + CLOCK_SLACK_S:
            msg = "the reading was reported longer than it was open; load the page again"
            raise InputError(msg)
        values = {"done_at": at, "score": score, "seconds": seconds, "marks": marks, "comment": comment}
        chosen = sa.and_(readings.c.id == task.id, readings.c.done_at.is_(None))
        with self._engine.begin() as connection:
            if not connection.execute(readings.update().where(chosen).values(**values)).rowcount:
                msg = "this reading is done already"
                raise InputError(msg)

    def done(self, number: int) -> list[dict[str, Any]]:
        """Give the finished readings of a reader study.

        Parameters
        ----------
        number : int
            Which.

        Returns
        -------
        list of dict
            By reader, session and position.
        """
        query = (
            sa.select(readings)
            .where(readings.c.reader_study == number, readings.c.done_at.is_not(None))
            .order_by(readings.c.reader, readings.c.session, readings.c.position)
        )
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def export(
        self,
        number: int,
        *,
        usability: Mapping[str, Sequence[int]],
        standalone: Mapping[str, tuple[float, Sequence[Mapping[str, Any]]]],
    ) -> tuple[list[Reading], dict[str, bool], dict[str, tuple[str, ...]]]:
        """Give a reader study as ``spondyl readers analyze`` takes it.

        Parameters
        ----------
        number : int
            Which.
        usability : mapping of str to sequence of int
            Answers to the System Usability Scale by user name.
        standalone : mapping of str to (float, sequence of mapping)
            The software's own score of a case from 0 to 1 and its marks, by study key.

        Returns
        -------
        readings : list of Reading
            Scores from 0 to 1, under codes of readers and cases.
        truth : dict of str to bool
            By code of the case.
        lesions : dict of str to tuple of str
            Names of the true lesions, by code of the case; empty where only cases have a truth.
        """
        plan = self.get(number)["plan"]
        cases, lesions = plan["cases"], plan.get("lesions") or {}
        rows = self.done(number)
        told: set[str] = set()
        found = []
        for row in rows:
            answers: dict[str, float] = {}
            if row["user_name"] in usability and row["modality"] == AIDED and row["reader"] not in told:
                told.add(row["reader"])
                answers = {f"sus_{k}": float(v) for k, v in enumerate(usability[row["user_name"]], 1)}
            found.append(
                Reading(
                    row["reader"],
                    row["case_code"],
                    row["modality"],
                    row["score"] / 100,
                    seconds=row["seconds"] if row["seconds"] is not None else math.nan,
                    answers=answers,
                )
            )
            if lesions:
                own = judged(row["marks"], lesions.get(row["study_key"], ()))
                found += [
                    Reading(
                        row["reader"], row["case_code"], row["modality"], score / 100, finding=name, truth=float(true)
                    )
                    for name, true, score in own
                ]
        for case in cases:
            if case["study_key"] in standalone:
                score, marks = standalone[case["study_key"]]
                who = {"reader": STANDALONE, "case": case["code"], "modality": STANDALONE, "role": "standalone"}
                found.append(Reading(**who, score=score))
                own = judged(marks, lesions.get(case["study_key"], ())) if lesions else []
                found += [Reading(**who, score=s, finding=name, truth=float(true)) for name, true, s in own]
        names = {c["code"]: tuple(x["name"] for x in lesions.get(c["study_key"], ())) for c in cases if lesions}
        return found, {case["code"]: case["positive"] for case in cases}, names


def _task(row: dict[str, Any], rows: list[dict[str, Any]]) -> Task:
    own = [r for r in rows if r["reader_study"] == row["reader_study"]]
    session = [r for r in own if r["session"] == row["session"]]
    before = [with_zone(r["done_at"]) for r in own if r["session"] < row["session"] and r["done_at"] is not None]
    not_before = None
    if before:
        ends = max(before) + timedelta(days=row["plan"]["washout_days"])
        not_before = ends if ends > now() else None
    return Task(
        id=row["id"],
        reader_study=row["reader_study"],
        reader=row["reader"],
        session=row["session"],
        position=row["position"],
        case_code=row["case_code"],
        study_key=row["study_key"],
        modality=row["modality"],
        n_in_session=len(session),
        n_done=sum(r["done_at"] is not None for r in session),
        not_before=not_before,
        begun_at=None if row["begun_at"] is None else with_zone(row["begun_at"]),
    )
