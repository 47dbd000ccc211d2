"""The node on the command line: serve, work, look at studies, try again, delete.

Everything heavy is imported inside the commands, so that ``spondyl --help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from spondyl.app.catalog import Catalog
    from spondyl.app.data_folder import DataFolder
    from spondyl.app.jobs.ledger import Ledger
    from spondyl.app.jobs.queue import Queue
    from spondyl.app.serve_settings import ServeSettings

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE", help="TOML file with the settings of the node.")
]
Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Data folder of the node.")]
Database = Annotated[
    str | None, typer.Option("--database", metavar="URL", help="postgresql://... for many machines; else SQLite.")
]
Key = Annotated[str, typer.Argument(metavar="KEY", help="Key of the study, as spondyl studies list shows it.")]

studies = typer.Typer(
    help="Studies that the node received.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def add_commands(app: typer.Typer) -> None:
    """Add the commands of the node to the command line.

    Parameters
    ----------
    app : typer.Typer
        The command line.
    """
    app.command(help="Receive studies by DICOM and DICOMweb, analyze them, return results, show them.")(serve)
    app.command(help="Take part in the work of a node or a cohort, on this machine.")(worker)
    app.command(help="Delete old studies, results and quarantine of a node.")(purge)
    app.add_typer(studies, name="studies")


def _settings(file: Path | None, data: Path | None, database: str | None, **changes: Any) -> ServeSettings:
    from spondyl.app.serve_settings import read_serve_settings

    return read_serve_settings(file, data=data, database_url=database, **changes)


def serve(
    *,
    settings: SettingsFile = None,
    data: Data = None,
    database: Database = None,
    dicom_port: Annotated[int | None, typer.Option("--dicom-port", min=0, max=65535, help="Port for DICOM.")] = None,
    web_port: Annotated[int | None, typer.Option("--web-port", min=0, max=65535, help="Port for the page.")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Worker processes; 0 leaves the work to spondyl worker.")
    ] = None,
) -> None:
    """Serve.

    Parameters
    ----------
    settings : Path, optional
        TOML file.
    data : Path, optional
        Data folder.
    database : str, optional
        URL of the database.
    dicom_port, web_port : int, optional
        Where to listen.
    workers : int, optional
        Worker processes.
    """
    from spondyl.app.monitor.logs import log_as_json
    from spondyl.app.serve import serve as run

    chosen = _settings(settings, data, database, dicom_port=dicom_port, web_port=web_port, workers=workers)
    log_as_json()
    run(chosen)


def worker(
    *,
    settings: SettingsFile = None,
    data: Data = None,
    database: Database = None,
    threads: Annotated[int | None, typer.Option("--threads", min=0, help="Processor threads; 0 takes all.")] = None,
) -> None:
    """Work.

    Parameters
    ----------
    settings : Path, optional
        TOML file.
    data : Path, optional
        Data folder, shared with the node.
    database : str, optional
        URL of the database, shared with the node.
    threads : int, optional
        Processor threads.
    """
    from spondyl.app.jobs.worker import run_worker
    from spondyl.app.monitor.logs import log_as_json

    chosen = _settings(settings, data, database, threads=threads)
    log_as_json()
    run_worker(chosen)


def _opened(chosen: ServeSettings) -> tuple[DataFolder, Catalog, Ledger, Queue]:
    from spondyl.app.catalog import Catalog
    from spondyl.app.data_folder import DataFolder, expect_node
    from spondyl.app.jobs.ledger import Ledger
    from spondyl.app.jobs.queue import Queue, prepare

    expect_node(chosen)
    prepare(chosen.database)
    catalog = Catalog(chosen.database)
    return DataFolder(chosen.data), catalog, Ledger(catalog), Queue(chosen.database)


@studies.callback()
def _root() -> None:
    """Studies that the node received."""


@studies.command("list", help="List studies with state and urgency, most urgent first.")
def list_studies(
    *,
    settings: SettingsFile = None,
    data: Data = None,
    database: Database = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that need a hand, with the reasons.")] = False,
) -> None:
    """List studies.

    Parameters
    ----------
    settings : Path, optional
        TOML file.
    data : Path, optional
        Data folder.
    database : str, optional
        URL of the database.
    failed : bool
        Only failed ones.
    """
    from spondyl.app.catalog import StudyState

    _, catalog, ledger, _ = _opened(_settings(settings, data, database))
    for row in catalog.list(states=(StudyState.FAILED,) if failed else None):
        words = (row.study_key, f"{row.received_at:%Y-%m-%d %H:%M}", f"{row.state:<9}", f"{row.urgency:<9}")
        typer.echo("  ".join((*words, f"{row.n_instances:>5} instances", ",".join(row.sequences))))
        if row.error:
            typer.echo(f"    {row.error}")
        for delivery in ledger.of(row.study_key, row.revision):
            typer.echo(f"    {delivery.destination}: {delivery.state}")


@studies.command("retry", help="Try a failed study again: delivery if that failed, else the analysis.")
def retry_study(key: Key, *, settings: SettingsFile = None, data: Data = None, database: Database = None) -> None:
    """Try a failed study again.

    Parameters
    ----------
    key : str
        The study.
    settings : Path, optional
        TOML file.
    data : Path, optional
        Data folder.
    database : str, optional
        URL of the database.
    """
    from spondyl.app.jobs.retry import retry

    _, catalog, ledger, queue = _opened(_settings(settings, data, database))
    typer.echo(f"begun again: {retry(catalog, ledger, queue, key)}")


def purge(
    *,
    settings: SettingsFile = None,
    data: Data = None,
    database: Database = None,
    older_than: Annotated[
        float | None, typer.Option("--older-than", metavar="DAYS", min=0, help="Studies at rest for longer than this.")
    ] = None,
    study: Annotated[list[str] | None, typer.Option("--study", metavar="KEY", help="This study; repeatable.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
) -> None:
    """Delete old studies.

    Parameters
    ----------
    settings : Path, optional
        TOML file.
    data : Path, optional
        Data folder.
    database : str, optional
        URL of the database.
    older_than : float, optional
        Days.
    study : list of str, optional
        Single studies.
    dry_run : bool
        Only say what would be done.
    """
    from spondyl.app.monitor.retention import old_studies, purge_old, purge_study

    if older_than is None and not study:
        msg = "say what to delete: --older-than DAYS or --study KEY"
        raise typer.BadParameter(msg)
    folder, catalog, ledger, queue = _opened(_settings(settings, data, database))
    keys = [key for key in study or () if folder.study(key)]
    old = [] if older_than is None else [row.study_key for row in old_studies(catalog, days=older_than)]
    for key in dict.fromkeys([*keys, *old]):
        typer.echo(f"{'would delete' if dry_run else 'deleted'} {key}")
        if not dry_run:
            purge_study(folder, catalog, ledger, queue, key)
    if older_than is not None and not dry_run:
        purge_old(folder, catalog, ledger, queue, days=older_than)
