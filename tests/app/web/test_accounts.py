"""Passwords are kept as argon2id hashes; sessions end; nobody guesses for long."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from spondyl.app.catalog import open_database
from spondyl.app.web import accounts as module
from spondyl.app.web.accounts import FAILURES_BEFORE_PAUSE, IDLE_END, LAST_END, PAUSE, Accounts, Role, Specialty
from spondyl.app.web.tables import make_tables, sessions, users
from spondyl.core import InputError
from web_site import CHEAP, PASSWORD


@pytest.fixture
def accounts(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path / 'a.sqlite'}")
    make_tables(engine)
    yield Accounts(engine, CHEAP)
    engine.dispose()


def _later(monkeypatch, by):
    real = module.now()
    monkeypatch.setattr(module, "now", lambda: real + by)


def test_a_right_password_opens_and_a_wrong_one_does_not(accounts):
    made = accounts.add("ada", PASSWORD, Role.ADMIN, Specialty.RADIOLOGIST)
    assert accounts.check("ada", PASSWORD) == made
    assert accounts.check("ada", PASSWORD + " ") is None
    assert accounts.check("nobody", PASSWORD) is None


def test_the_database_holds_argon2id_and_no_token(accounts):
    user = accounts.add("ada", PASSWORD, Role.ADMIN)
    token, _ = accounts.begin_session(user)
    with accounts._engine.connect() as connection:
        (stored,) = connection.execute(sa.select(users.c.password_hash)).one()
        (digest,) = connection.execute(sa.select(sessions.c.token_sha256)).one()
    assert stored.startswith("$argon2id$")
    assert token not in (digest, stored)
    assert accounts.session(token).user == user


def test_costs_of_hashing_are_those_of_rfc_9106():
    usual = PasswordHasher()  # section 4, second recommended option: t=3, m=64 MiB, 4 lanes
    assert (usual.time_cost, usual.memory_cost, usual.parallelism) == (3, 65536, 4)


def test_guessing_pauses_an_account(accounts, monkeypatch):
    accounts.add("ada", PASSWORD, Role.ADMIN)
    for _ in range(FAILURES_BEFORE_PAUSE):
        assert accounts.check("ada", "wrong password 1") is None
    assert accounts.check("ada", PASSWORD) is None
    _later(monkeypatch, PAUSE + timedelta(seconds=1))
    assert accounts.check("ada", PASSWORD) is not None


@pytest.mark.parametrize("after", [IDLE_END, LAST_END])
def test_a_session_ends(accounts, monkeypatch, after):
    token, _ = accounts.begin_session(accounts.add("ada", PASSWORD, Role.ADMIN))
    assert accounts.session(token) is not None
    _later(monkeypatch, after + timedelta(seconds=1))
    assert accounts.session(token) is None


def test_a_change_of_an_account_ends_its_sessions(accounts):
    accounts.add("ada", PASSWORD, Role.ADMIN)
    token, _ = accounts.begin_session(accounts.add("rad", PASSWORD, Role.READER))
    accounts.change("rad", active=False)
    assert accounts.session(token) is None
    assert accounts.check("rad", PASSWORD) is None


def test_the_last_administrator_stays(accounts):
    accounts.add("ada", PASSWORD, Role.ADMIN)
    for change in ({"active": False}, {"role": Role.READER}):
        with pytest.raises(InputError, match="last active administrator"):
            accounts.change("ada", **change)
    accounts.add("bob", PASSWORD, Role.ADMIN)
    assert accounts.change("ada", role=Role.READER).role is Role.READER


@pytest.mark.parametrize("name", ["", "A", "Ada", "ada lovelace", "../ada", "<script>", "a" * 41])
def test_strange_names_are_refused(accounts, name):
    with pytest.raises(InputError, match="user name"):
        accounts.add(name, PASSWORD, Role.READER)


def test_short_passwords_and_taken_names_are_refused(accounts):
    with pytest.raises(InputError, match="password of 12"):
        accounts.add("ada", "short", Role.READER)
    accounts.add("ada", PASSWORD, Role.READER)
    with pytest.raises(InputError, match="already"):
        accounts.add("ada", PASSWORD, Role.READER)
