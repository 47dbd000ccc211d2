"""What people say about findings: verdicts, ratings and comments, and how usable they find the page.

Rows are only added. Of several from one person about one finding of one result, the newest counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from spondyl.app.catalog import now
from spondyl.app.web.tables import feedback, reviews, usability, with_zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from spondyl.app.web.accounts import User

SCALES = {
    "agreement": "I agree with this finding.",
    "interpretability": "I understand why the software says so.",
    "clinical_relevance": "This matters for the care of the patient.",
}
"""What is rated, from 1 (strongly disagree) to 5 (strongly agree); Likert's five points."""

SUS_ITEMS = (
    "I think that I would like to use this system frequently.",
    "I found the system unnecessarily complex.",
    "I thought the system was easy to use.",
    "I think that I would need the support of a technical person to be able to use this system.",
    "I found the various functions in this system were well integrated.",
    "I thought there was too much inconsistency in this system.",
    "I would imagine that most people would learn to use this system very quickly.",
    "I found the system very cumbersome to use.",
    "I felt very confident using the system.",
    "I needed to learn a lot of things before I could get going with this system.",
)
"""The items of the System Usability Scale, as published (Brooke 1996)."""


class Opinions:
    """The opinions kept in one database.

    Parameters
    ----------
    engine : Engine
        The database, with its tables made.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add_review(self, user: User, about: Mapping[str, str], verdict: str, correction: Mapping[str, Any]) -> None:
        """Keep a verdict.

        Parameters
        ----------
        user : User
            Whose.
        about : mapping
            ``study_key``, ``result_sha256``, ``finding`` and ``comment``.
        verdict : str
            ``"accept"``, ``"reject"``, ``"correct"`` or ``"missed"``.
        correction : mapping
            What should stand there instead.
        """
        self._add(reviews, user, **about, verdict=verdict, correction=dict(correction))

    def add_feedback(self, user: User, about: Mapping[str, str], ratings: Mapping[str, int | None]) -> None:
        """Keep ratings and a comment.

        Parameters
        ----------
        user : User
            Whose.
        about : mapping
            ``study_key``, ``result_sha256``, ``finding`` and ``comment``.
        ratings : mapping of str to int or None
            From 1 to 5 on each of `SCALES`; None where not rated.
        """
        self._add(feedback, user, **about, **ratings)

    def add_usability(self, user: User, answers: list[int]) -> None:
        """Keep answers to the System Usability Scale.

        Parameters
        ----------
        user : User
            Whose.
        answers : list of int
            Ten, from 1 to 5.
        """
        self._add(usability, user, answers=answers)

    def _add(self, table: sa.Table, user: User, **values: Any) -> None:
        row = values | {"at": now(), "user_name": user.name, "specialty": str(user.specialty)}
        with self._engine.begin() as connection:
            connection.execute(table.insert().values(**row))

    def of_study(self, study_key: str, result_sha256: str) -> dict[str, list[dict[str, Any]]]:
        """Give what is said about the present result of a study.

        Parameters
        ----------
        study_key : str
            The study.
        result_sha256 : str
            The result.

        Returns
        -------
        dict
            ``reviews`` and ``feedback``: of each person and finding the newest.
        """
        return {
            name: [
                {**row, "at": row["at"].isoformat()}
                for row in self._newest(table)
                if row["study_key"] == study_key and row["result_sha256"] == result_sha256
            ]
            for name, table in (("reviews", reviews), ("feedback", feedback))
        }

    def reviewers(self, study_keys: Iterable[str]) -> dict[str, list[str]]:
        """Say who has given a verdict on which study.

        Parameters
        ----------
        study_keys : iterable of str
            The studies.

        Returns
        -------
        dict of str to list of str
            Names of users by study; studies without are left out.
        """
        query = sa.select(reviews.c.study_key, reviews.c.user_name).distinct().order_by(reviews.c.user_name)
        found: dict[str, list[str]] = {}
        with self._engine.connect() as connection:
            for key, name in connection.execute(query.where(reviews.c.study_key.in_(list(study_keys)))):
                found.setdefault(key, []).append(name)
        return found

    def all_reviews(self) -> list[dict[str, Any]]:
        """Give all verdicts that count.

        Returns
        -------
        list of dict
            In the order in which they were given.
        """
        return self._newest(reviews)

    def all_feedback(self) -> list[dict[str, Any]]:
        """Give all ratings that count.

        Returns
        -------
        list of dict
            In the order in which they were given.
        """
        return self._newest(feedback)

    def all_usability(self) -> list[dict[str, Any]]:
        """Give the newest answers of each person to the System Usability Scale.

        Returns
        -------
        list of dict
            In the order in which they were given.
        """
        return self._newest(usability)

    def _newest(self, table: sa.Table) -> list[dict[str, Any]]:
        key = [n for n in ("user_name", "study_key", "result_sha256", "finding") if n in table.c]
        last = sa.select(sa.func.max(table.c.id)).group_by(*(table.c[n] for n in key))
        query = sa.select(table).where(table.c.id.in_(last)).order_by(table.c.id)
        with self._engine.connect() as connection:
            return [{**row, "at": with_zone(row["at"])} for row in connection.execute(query).mappings()]
