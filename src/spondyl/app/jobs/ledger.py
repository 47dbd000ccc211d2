"""Two small tables beside the catalog: which result went where, and which workers live."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import sqlalchemy as sa

from spondyl.app.catalog import create_missing, metadata, now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spondyl.app.catalog import Catalog

STALE_AFTER_S = 20.0
"""A worker that gave no sign for so long is taken for dead, in s: four beats. Chosen by us."""

BEAT_S = 5.0
"""Workers give a sign of life this often, in s."""


class DeliveryState(StrEnum):
    """How far one delivery is."""

    OPEN = "open"
    SENT = "sent"
    DEAD = "dead"


@dataclass(frozen=True)
class Delivery:
    """One result on its way to one destination.

    Parameters
    ----------
    study_key : str
        The study.
    revision : int
        Its revision.
    destination : str
        Name of the destination.
    state : DeliveryState
        How far it is.
    error : str
        Why it is dead.
    tries : int
        How often it was begun, a retry by hand included.
    """

    study_key: str
    revision: int
    destination: str
    state: DeliveryState
    error: str = ""
    tries: int = 1


deliveries = sa.Table(
    "spondyl_deliveries",
    metadata,
    sa.Column("study_key", sa.String(24), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("destination", sa.String(40), primary_key=True),
    sa.Column("state", sa.String(8), nullable=False, index=True),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
)

workers = sa.Table(
    "spondyl_workers",
    metadata,
    sa.Column("worker", sa.String(64), primary_key=True),
    sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
)


class Ledger:
    """Deliveries and workers.

    Parameters
    ----------
    catalog : Catalog
        Whose database it shares.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._engine = catalog.engine
        create_missing(self._engine, metadata)

    def open(self, study_key: str, revision: int, destinations: Iterable[str]) -> None:
        """Note deliveries that are to be made; those noted before stay as they are.

        Parameters
        ----------
        study_key : str
            The study.
        revision : int
            Its revision.
        destinations : iterable of str
            Names.
        """
        known = {d.destination for d in self.of(study_key, revision)}
        rows = [
            {"study_key": study_key, "revision": revision, "destination": d, "state": "open", "error": "", "tries": 1}
            for d in destinations
            if d not in known
        ]
        if rows:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(deliveries), rows)

    def of(self, study_key: str, revision: int) -> list[Delivery]:
        """Give the deliveries of a result.

        Parameters
        ----------
        study_key : str
            The study.
        revision : int
            Its revision.

        Returns
        -------
        list of Delivery
            By destination.
        """
        query = sa.select(deliveries).where(deliveries.c.study_key == study_key, deliveries.c.revision == revision)
        return self._select(query.order_by(deliveries.c.destination))

    def in_state(self, state: DeliveryState) -> list[Delivery]:
        """Give all deliveries in a state.

        Parameters
        ----------
        state : DeliveryState
            Such as ``"dead"`` for the dead letters.

        Returns
        -------
        list of Delivery
            By study.
        """
        query = sa.select(deliveries).where(deliveries.c.state == str(state)).order_by(deliveries.c.study_key)
        return self._select(query)

    def _select(self, query: sa.Select) -> list[Delivery]:
        with self._engine.connect() as connection:
            found = connection.execute(query).mappings().all()
        return [Delivery(**dict(row) | {"state": DeliveryState(row["state"])}) for row in found]

    def settle(self, study_key: str, revision: int, destination: str, *, error: str = "") -> None:
        """Say how a delivery ended.

        Parameters
        ----------
        study_key, revision, destination
            The delivery.
        error : str, optional
            Why it failed for good; empty if it arrived.
        """
        state = DeliveryState.DEAD if error else DeliveryState.SENT
        self._update(study_key, revision, destination, state=str(state), error=error)

    def reopen(self, delivery: Delivery) -> Delivery:
        """Begin a delivery again.

        Parameters
        ----------
        delivery : Delivery
            A dead one.

        Returns
        -------
        Delivery
            With its number of tries raised.
        """
        key = delivery.study_key, delivery.revision, delivery.destination
        self._update(*key, state=str(DeliveryState.OPEN), error="", tries=delivery.tries + 1)
        return next(d for d in self.of(*key[:2]) if d.destination == delivery.destination)

    def _update(self, study_key: str, revision: int, destination: str, **values: object) -> None:
        query = sa.update(deliveries).where(
            deliveries.c.study_key == study_key,
            deliveries.c.revision == revision,
            deliveries.c.destination == destination,
        )
        with self._engine.begin() as connection:
            connection.execute(query.values(**values))

    def forget(self, study_key: str) -> None:
        """Forget the deliveries of a study.

        Parameters
        ----------
        study_key : str
            The study.
        """
        with self._engine.begin() as connection:
            connection.execute(sa.delete(deliveries).where(deliveries.c.study_key == study_key))

    def beat(self, worker: str) -> None:
        """Give a worker's sign of life.

        Parameters
        ----------
        worker : str
            Its name.
        """
        with self._engine.begin() as connection:
            if not connection.execute(
                sa.update(workers).where(workers.c.worker == worker).values(beat_at=now())
            ).rowcount:
                connection.execute(sa.insert(workers).values(worker=worker, beat_at=now()))

    def leave(self, worker: str) -> bool:
        """Take a worker off the list.

        Parameters
        ----------
        worker : str
            Its name.

        Returns
        -------
        bool
            Whether it was on it; of many that ask at once, one is told so.
        """
        with self._engine.begin() as connection:
            return bool(connection.execute(sa.delete(workers).where(workers.c.worker == worker)).rowcount)

    def alive(self) -> int:
        """Count the workers that live.

        Returns
        -------
        int
            Those that gave a sign lately.
        """
        query = sa.select(sa.func.count()).where(workers.c.beat_at >= now() - timedelta(seconds=STALE_AFTER_S))
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def dead(self) -> list[str]:
        """Name the workers that gave no sign for too long.

        Returns
        -------
        list of str
            Names.
        """
        query = sa.select(workers.c.worker).where(workers.c.beat_at < now() - timedelta(seconds=STALE_AFTER_S))
        with self._engine.connect() as connection:
            return [str(name) for name in connection.execute(query).scalars()]
