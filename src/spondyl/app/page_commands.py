"""The review page on the command line: who may log in, its audit log, and what people said.

Everything heavy is imported inside the commands, so that ``spondyl --help`` answers at once.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

_OPTIONS: dict[str, Any] = {
    "no_args_is_help": True,
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
}

page = typer.Typer(help="The review page: users, audit log, opinions.", **_OPTIONS)
users = typer.Typer(help="Who may log in.", **_OPTIONS)
page.add_typer(users, name="users")

COMMAND_LINE_USER = "command line"
"""Who acts in the audit log where somebody has the data folder itself."""

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE", help="TOML file with the settings of the node.")
]
Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Data folder of the node.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="User name.")]
FromInput = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@contextmanager
def _database(settings: Path | None, data: Path | None, *, make: bool = False) -> Iterator[sa.Engine]:
    from spondyl.app.catalog import open_database
    from spondyl.app.data_folder import DataFolder, expect_node
    from spondyl.app.serve_settings import read_serve_settings
    from spondyl.app.web.tables import make_tables

    chosen = read_serve_settings(settings, data=data)
    if make:
        DataFolder(chosen.data).make()
    else:
        expect_node(chosen)
    engine = open_database(chosen.database)
    try:
        make_tables(engine)
        yield engine
    finally:
        engine.dispose()


def _password(*, from_input: bool) -> str:
    if from_input:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


@users.command("add", help="Make an account.")
def add_user(
    name: Name,
    *,
    role: Annotated[str, typer.Option("--role", help="viewer, reader or admin.")] = "reader",
    specialty: Annotated[
        str, typer.Option("--specialty", help="radiologist, oncologist, 'spine surgeon' or other.")
    ] = "other",
    password_stdin: FromInput = False,
    settings: SettingsFile = None,
    data: Data = None,
) -> None:
    """Make an account.

    Parameters
    ----------
    name : str
        User name.
    role, specialty : str
        What it may do, and whose opinion it gives.
    password_stdin : bool
        Read the password from standard input instead of asking.
    settings : Path, optional
        TOML file.
    data : Path, optional
        Data folder.
    """
    from spondyl.app.web.accounts import Accounts, Role, Specialty
    from spondyl.app.web.audit import AuditLog

    if role not in list(Role) or specialty not in list(Specialty):
        msg = f"--role is one of {', '.join(Role)}; --specialty is one of {', '.join(Specialty)}"
        raise typer.BadParameter(msg)
    with _database(settings, data, make=True) as engine:
        Accounts(engine).add(name, _password(from_input=password_stdin), Role(role), Specialty(specialty))
        AuditLog(engine).append(COMMAND_LINE_USER, "user.add", user=name, role=role)
    typer.echo(f"added: {name} ({role})")


@users.command("password", help="Give an account a new password, which ends its sessions.")
def new_password(
    name: Name, *, password_stdin: FromInput = False, settings: SettingsFile = None, data: Data = None
) -> None:
    """Give an account a new password.

    Parameters
    ----------
    name : str
        User name.
    password_stdin : bool
        Read the password from standard input instead of asking.
    settings : Path, optional
        TOML file.
    data : Path, optional
        Data folder.
    """
    from spondyl.app.web.accounts import Accounts
    from spondyl.app.web.audit import AuditLog

    with _database(settings, data) as engine:
        Accounts(engine).change(name, password=_password(from_input=password_stdin))
        AuditLog(engine).append(COMMAND_LINE_USER, "user.change", user=name, password=True)
    typer.echo(f"changed: {name}")


@users.command("list", help="List accounts.")
def list_users(*, settings: SettingsFile = None, data: Data = None) -> None:
    """List accounts.

    Parameters
    ----------
    settings : Path, optional
        TOML file.
    data : Path, optional
        Data folder.
    """
    from spondyl.app.web.accounts import Accounts

    with _database(settings, data) as engine:
        for user in Accounts(engine).list():
            typer.echo(f"{user.name:<20}  {user.role:<7}  {user.specialty}{'' if user.active else '  off'}")


@page.command("add", help="Show a study that was analyzed at the command line.")
def add_study(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="The DICOM study that was analyzed.")],
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="What spondyl analyze --out wrote.")],
    *,
    settings: SettingsFile = None,
    data: Data = None,
) -> None:
    """Copy a study and its result into the data folder.

    Parameters
    ----------
    study : Path
        The study.
    result : Path
        The result folder.
    settings : Path, optional
        TOML file.
    data : Path, optional
        Data folder.
    """
    from spondyl.app.catalog import Catalog
    from spondyl.app.data_folder import DataFolder
    from spondyl.app.serve_settings import read_serve_settings
    from spondyl.app.web.adopt import adopt_result

    chosen = read_serve_settings(settings, data=data)
    folder = DataFolder(chosen.data).make()
    catalog = Catalog(chosen.database)
    try:
        typer.echo(f"study: {adopt_result(catalog, folder, study, result)}")
    finally:
        catalog.close()


@page.command("audit", help="Check that nobody changed the audit log; prints its head, to be kept elsewhere.")
def audit(*, settings: SettingsFile = None, data: Data = None) -> None:
    """Check the audit log; exit code 3 if it was changed.

    Parameters
    ----------
    settings : Path, optional
        TOML file.
    data : Path, optional
        Data folder.
    """
    from spondyl.app.web.audit import AuditLog
    from spondyl.core import InputError

    with _database(settings, data) as engine:
        found = AuditLog(engine).verify()
    if found.broken_at is not None:
        msg = f"entry {found.broken_at} of the audit log does not fit the one before: the log was changed"
        raise InputError(msg)
    typer.echo(f"{found.n_entries} entries, whole; head {found.head}")


@page.command("opinions", help="Write verdicts, ratings and usability with their statistics as a zip.")
def opinions(
    *,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The zip to write.")],
    settings: SettingsFile = None,
    data: Data = None,
) -> None:
    """Write all opinions.

    Parameters
    ----------
    out : Path
        The zip to write.
    settings : Path, optional
        TOML file.
    data : Path, optional
        Data folder.
    """
    from spondyl.app.web.audit import AuditLog
    from spondyl.app.web.opinion_statistics import opinion_archive
    from spondyl.app.web.reviews import Opinions
    from spondyl.core import OutputError

    with _database(settings, data) as engine:
        AuditLog(engine).append(COMMAND_LINE_USER, "opinions.export")
        packed = opinion_archive(Opinions(engine))
    try:
        out.write_bytes(packed)
    except OSError as error:
        msg = f"the zip cannot be written (error {error.errno}); check permissions and space"
        raise OutputError(msg) from None
    typer.echo(f"opinions: {out}")
