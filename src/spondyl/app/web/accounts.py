"""Users, their passwords and their sessions.

References
----------
Argon2id and its parameters: RFC 9106 section 4, second recommendation, the defaults of argon2-cffi. Length of
passwords, rate limits and lifetimes of sessions: NIST SP 800-63B sections 5.1.1.2, 5.2.2 and 4.2.3.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from spondyl.app.catalog import now
from spondyl.app.web.tables import sessions, users, with_zone
from spondyl.core import InputError

if TYPE_CHECKING:
    from datetime import datetime

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 256
"""Characters of a password; SP 800-63B asks for 8 at least. Chosen by us."""

FAILURES_BEFORE_PAUSE = 5
"""Wrong passwords in a row after which an account pauses. SP 800-63B allows 100. Chosen by us."""

PAUSE = timedelta(minutes=5)
"""How long an account pauses. Chosen by us: long for guessing, short for a radiologist on call."""

IDLE_END, LAST_END = timedelta(minutes=60), timedelta(hours=12)
"""A session ends after so long without a request, and after a shift at the latest (SP 800-63B section 4.2.3)."""

SEEN_STEP = timedelta(seconds=30)
"""The time of the last request is written this often at most."""

USER_NAME = re.compile(r"[a-z][a-z0-9._-]{1,39}")
"""User names: lower case, so that no two look alike."""


class Role(StrEnum):
    """What an account may do; each may do what those before it may."""

    VIEWER = "viewer"
    READER = "reader"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Place in the order."""
        return list(Role).index(self)


class Specialty(StrEnum):
    """Who gives an opinion; statistics are told apart by it."""

    RADIOLOGIST = "radiologist"
    ONCOLOGIST = "oncologist"
    SPINE_SURGEON = "spine surgeon"
    OTHER = "other"


@dataclass(frozen=True)
class User:
    """An account.

    Parameters
    ----------
    name : str
        Its name.
    role : Role
        What it may do.
    specialty : Specialty
        Whose opinion it gives.
    active : bool
        Whether it may log in.
    """

    name: str
    role: Role
    specialty: Specialty
    active: bool = True


@dataclass(frozen=True)
class Session:
    """A session of somebody who is logged in.

    Parameters
    ----------
    user : User
        Who.
    csrf : str
        What every request that changes something must repeat.
    """

    user: User
    csrf: str


class Accounts:
    """Users and sessions of one database.

    Parameters
    ----------
    engine : Engine
        The database, with its tables made.
    hasher : PasswordHasher, optional
        Other costs of hashing.
    """

    def __init__(self, engine: sa.Engine, hasher: PasswordHasher | None = None) -> None:
        self._engine = engine
        self._hasher = hasher or PasswordHasher()
        # Compared with where there is no such user, so that the time taken does not tell.
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))

    def add(self, name: str, password: str, role: Role, specialty: Specialty = Specialty.OTHER) -> User:
        """Make an account.

        Parameters
        ----------
        name : str
            2 to 40 characters: a to z, 0 to 9, dot, hyphen, underscore.
        password : str
            12 characters at least.
        role : Role
            What it may do.
        specialty : Specialty, optional
            Whose opinion it gives.

        Returns
        -------
        User
            The account.

        Raises
        ------
        InputError
            If the name is taken or not allowed, or the password too short.
        """
        if not USER_NAME.fullmatch(name):
            msg = "a user name has 2 to 40 characters of a-z, 0-9, dot, hyphen and underscore, and begins with a letter"
            raise InputError(msg)
        values = {
            "name": name,
            "password_hash": self._hashed(password),
            "role": str(role),
            "specialty": str(specialty),
            "active": True,
            "failures": 0,
            "created_at": now(),
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(users.insert().values(**values))
        except sa.exc.IntegrityError:
            msg = f"there is a user {name} already; choose another name, or change that account"
            raise InputError(msg) from None
        return User(name, role, specialty)

    def _hashed(self, password: str) -> str:
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            msg = f"a password of {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters was wanted, got {len(password)}"
            raise InputError(msg)
        return self._hasher.hash(password)

    def list(self) -> list[User]:
        """Give all accounts.

        Returns
        -------
        list of User
            By name.
        """
        with self._engine.connect() as connection:
            return [_user(row) for row in connection.execute(sa.select(users).order_by(users.c.name)).mappings()]

    def get(self, name: str) -> User:
        """Give one account.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        User
            The account.

        Raises
        ------
        InputError
            If there is none.
        """
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(users).where(users.c.name == name)).mappings().first()
        if found is None:
            msg = "there is no user of this name; the list of users shows all"
            raise InputError(msg)
        return _user(found)

    def change(self, name: str, *, password: str | None = None, **fields: Any) -> User:
        """Change an account, which ends its sessions.

        Parameters
        ----------
        name : str
            Its name.
        password : str, optional
            A new password.
        **fields : object
            ``role``, ``specialty`` or ``active``.

        Returns
        -------
        User
            The changed account.

        Raises
        ------
        InputError
            If there is none, the password is too short, or no active administrator would be left.
        """
        user = self.get(name)
        values: dict[str, Any] = {
            key: value if isinstance(value, bool) else str(value) for key, value in fields.items()
        }
        loses = values.get("role", user.role) != Role.ADMIN or not values.get("active", user.active)
        others = [u for u in self.list() if u.role is Role.ADMIN and u.active and u.name != name]
        if user.role is Role.ADMIN and user.active and loses and not others:
            msg = "this is the last active administrator; make another one first"
            raise InputError(msg)
        if password is not None:
            values |= {"password_hash": self._hashed(password), "failures": 0, "locked_until": None}
        with self._engine.begin() as connection:
            connection.execute(users.update().where(users.c.name == name).values(**values))
            connection.execute(sessions.delete().where(sessions.c.user_name == name))
        return self.get(name)

    def check(self, name: str, password: str) -> User | None:
        """Say whose name and password these are.

        Parameters
        ----------
        name, password : str
            As typed.

        Returns
        -------
        User or None
            None for a wrong name or password, an account that is switched off, or one that pauses.
        """
        at = now()
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(users).where(users.c.name == name)).mappings().first()
        right = self._verified(self._nobody if row is None else row["password_hash"], password[: LONGEST_PASSWORD + 1])
        if row is None or not row["active"] or (row["locked_until"] and with_zone(row["locked_until"]) > at):
            return None
        failures = 0 if right else row["failures"] + 1
        values: dict[str, Any] = {"failures": failures, "locked_until": None}
        if failures >= FAILURES_BEFORE_PAUSE:
            values = {"failures": 0, "locked_until": at + PAUSE}
        if right and self._hasher.check_needs_rehash(row["password_hash"]):
            values["password_hash"] = self._hasher.hash(password)
        with self._engine.begin() as connection:
            connection.execute(users.update().where(users.c.name == name).values(**values))
        return _user(row) if right else None

    def _verified(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    def begin_session(self, user: User) -> tuple[str, Session]:
        """Log somebody in.

        Parameters
        ----------
        user : User
            Who showed the right password.

        Returns
        -------
        token : str
            For the cookie; only its hash is kept.
        session : Session
            The session.
        """
        token, csrf, at = secrets.token_urlsafe(32), secrets.token_urlsafe(32), now()
        with self._engine.begin() as connection:
            connection.execute(sessions.delete().where(sessions.c.created_at < at - LAST_END))
            row = {"token_sha256": _digest(token), "user_name": user.name, "csrf": csrf}
            connection.execute(sessions.insert().values(**row, created_at=at, seen_at=at))
        return token, Session(user, csrf)

    def session(self, token: str) -> Session | None:
        """Give the session of a cookie.

        Parameters
        ----------
        token : str
            From the cookie.

        Returns
        -------
        Session or None
            None where it has ended or never was.
        """
        at = now()
        query = sa.select(sessions, users).join(users, users.c.name == sessions.c.user_name)
        with self._engine.connect() as connection:
            row = connection.execute(query.where(sessions.c.token_sha256 == _digest(token))).mappings().first()
        if row is None or not row["active"] or _ended(row["created_at"], row["seen_at"], at):
            return None
        if at - with_zone(row["seen_at"]) > SEEN_STEP:
            with self._engine.begin() as connection:
                chosen = sessions.c.token_sha256 == row["token_sha256"]
                connection.execute(sessions.update().where(chosen).values(seen_at=at))
        return Session(_user(row), row["csrf"])

    def end_session(self, token: str) -> None:
        """Log somebody out.

        Parameters
        ----------
        token : str
            From the cookie.
        """
        with self._engine.begin() as connection:
            connection.execute(sessions.delete().where(sessions.c.token_sha256 == _digest(token)))


def same(given: str, wanted: str) -> bool:
    """Compare secrets in a time that tells nothing.

    Parameters
    ----------
    given, wanted : str
        The secrets.

    Returns
    -------
    bool
        Whether they are one.
    """
    return hmac.compare_digest(given.encode(), wanted.encode())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _ended(created_at: datetime, seen_at: datetime, at: datetime) -> bool:
    return at - with_zone(created_at) > LAST_END or at - with_zone(seen_at) > IDLE_END


def _user(row: Any) -> User:
    return User(row["name"], Role(row["role"]), Specialty(row["specialty"]), bool(row["active"]))
