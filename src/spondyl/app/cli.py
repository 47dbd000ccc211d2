"""The command line. Stable: scripts depend on commands, options and exit codes.

Everything heavy is imported inside the commands, so that ``spondyl --help`` answers at once. Words go to stderr; what a
script may want to read, such as the place of the report, goes to stdout.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.app.adopt import adopt
from spondyl.app.cohort import cohort
from spondyl.app.console import UNUSABLE, defect_log, error_line, exit_code, shown_progress
from spondyl.app.evaluate import evaluate
from spondyl.app.export import export
from spondyl.app.node_commands import add_commands
from spondyl.app.page_commands import page
from spondyl.app.readers import readers
from spondyl.app.train import train

if TYPE_CHECKING:
    from spondyl.app.analyze import AnalysisResult
    from spondyl.core import Sequence


class _Answering(TyperGroup):
    """Turns every error into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, KeyboardInterrupt):
            raise
        except Exception as error:
            if type(error).__module__.split(".")[0] in ("click", "typer"):  # a wrong call: told by the library itself
                raise
            if ctx.params.get("debug"):
                typer.echo(defect_log(error), err=True)
            typer.echo(error_line(error), err=True)
            raise typer.Exit(exit_code(error)) from None


_OPTIONS: dict[str, Any] = {
    "no_args_is_help": True,
    "add_completion": False,
    "rich_markup_mode": None,  # rich would cost a third of the time that --help may take
    "pretty_exceptions_enable": False,
}

app = typer.Typer(
    cls=_Answering, help="Spine-oncology MRI: from a study to coded findings. Research use only.", **_OPTIONS
)
simulate = typer.Typer(help="Make synthetic patients.", **_OPTIONS)
models = typer.Typer(help="Network weights and their cards.", **_OPTIONS)
app.add_typer(simulate, name="simulate")
models.command(
    "adopt", help="Take over a network made elsewhere: nnU-Net v2 or a MONAI bundle. Needs the extra `train`."
)(adopt)
app.add_typer(models, name="models")
app.add_typer(cohort, name="cohort")
app.add_typer(evaluate, name="evaluate")
app.add_typer(page, name="page")
app.add_typer(readers, name="readers")
app.add_typer(train, name="train")
add_commands(app)
app.command(help="Write a de-identified copy of a study and its results (PS3.15 Basic Profile).")(export)

Threads = Annotated[int, typer.Option("--threads", min=0, help="Processor threads; 0 takes all.")]
Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder for the result: new, empty, or an earlier one to replace.")
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spondyl {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """Spine-oncology MRI: from a study to coded findings. Research use only."""


@app.command(help="Make a synthetic patient, analyze the study, and say where the report is.")
def demo(
    *,
    out: Out = Path("demo"),
    seed: Annotated[int | None, typer.Option("--seed", help="Which synthetic patient.")] = None,
    threads: Threads = 0,
) -> None:
    """Make a synthetic patient, analyze the study, and say where the report is.

    Parameters
    ----------
    out : Path
        Holds ``patient`` and ``result`` afterward.
    seed : int, optional
        Which patient.
    threads : int
        Processor threads; 0 takes all.
    """
    from spondyl.app.demo import DEMO_SEED, demonstrate

    with shown_progress() as progress:
        result = demonstrate(out, seed=DEMO_SEED if seed is None else seed, threads=threads, progress=progress)
    _tell(result)


@app.command(help="Analyze a study: vertebrae, levels and lesion candidates as DICOM, report and result.json.")
def analyze(
    study: Annotated[
        Path | None,
        typer.Argument(metavar="STUDY", help="DICOM folder, zip, DICOMDIR or file, or NIfTI.", show_default=False),
    ] = None,
    *,
    out: Out,
    sequence: Annotated[
        list[str] | None,
        typer.Option("--sequence", metavar="NAME=FILE", help="NIfTI file of a sequence, as T1=FILE; may be repeated."),
    ] = None,
    clinical: Annotated[
        Path | None,
        typer.Option("--clinical", metavar="FORM", help="Clinical form: what images do not show, as TOML or JSON."),
    ] = None,
    prior: Annotated[
        Path | None,
        typer.Option(
            "--prior", metavar="STUDY", help="Earlier study of the same patient, or its result folder, to compare with."
        ),
    ] = None,
    omics: Annotated[
        Path | None,
        typer.Option("--omics", metavar="FILE", help="Omics: MAF, VCF, expression, slides, or a form naming them."),
    ] = None,
    risk_model: Annotated[
        Path | None,
        typer.Option("--risk-model", metavar="FILE", help="The model.json of a cohort risk, in place of the shipped."),
    ] = None,
    nifti: Annotated[bool, typer.Option("--nifti", help="Write masks and maps as NIfTI, too.")] = False,
    settings: Annotated[
        Path | None, typer.Option("--settings", metavar="FILE", help="TOML file, or the run.toml of a result.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=0, help="Processor threads; 0 takes all, the default.")
    ] = None,
) -> None:
    """Analyze a study and write everything that was found.

    Parameters
    ----------
    study : Path, optional
        What to read; may be left out where `sequence` names files.
    out : Path
        The result folder.
    sequence : list of str, optional
        ``NAME=FILE`` for NIfTI files.
    clinical : Path, optional
        Clinical form.
    prior : Path, optional
        Earlier study of the same patient, or its result folder.
    omics : Path, optional
        Omics and pathology of the patient.
    risk_model : Path, optional
        A saved model of risk, its times in months.
    nifti : bool
        Whether masks and maps are written as NIfTI, too.
    settings : Path, optional
        TOML file.
    threads : int, optional
        Processor threads, over those of the settings.
    """
    named = _named_files(sequence or [])
    if study is None and not named:
        msg = "give a STUDY, or NIfTI files with --sequence NAME=FILE"
        raise typer.BadParameter(msg)
    from dataclasses import replace

    from spondyl.app.analyze import AnalysisOptions, analyze_study
    from spondyl.pipeline.settings import Settings, read_settings

    chosen = read_settings(settings) if settings is not None else Settings()
    if threads is not None:
        chosen = replace(chosen, threads=threads)
    if risk_model is not None:
        chosen = replace(chosen, risk=replace(chosen.risk, model=str(risk_model)))
    options = AnalysisOptions(named, chosen, nifti=nifti, clinical=clinical, prior=prior, omics=omics)
    with shown_progress() as progress:
        result = analyze_study(study, out, options=options, progress=progress)
    _tell(result)


def _named_files(pairs: list[str]) -> dict[Sequence, Path]:
    from spondyl.core.sequence import Sequence

    known = [s.value for s in Sequence if s is not Sequence.UNKNOWN]
    named: dict[Sequence, Path] = {}
    for pair in pairs:
        name, sign, file = pair.partition("=")
        if not sign or not file or name.upper() not in known:
            msg = f"--sequence wants NAME=FILE with one of the names {', '.join(known)}"
            raise typer.BadParameter(msg)
        if Sequence(name.upper()) in named:
            msg = f"--sequence names {name.upper()} twice; one file a sequence"
            raise typer.BadParameter(msg)
        named[Sequence(name.upper())] = Path(file)
    return named


def _tell(result: AnalysisResult) -> None:
    """Say in three lines what was found and where to look."""
    from spondyl.io.wording import headline, summary

    typer.echo(f"{headline(result.case)}. {summary(result.case)[-1 if not result.case.vertebrae else 1]}", err=True)
    if result.document["set_aside"]:
        typer.echo(
            f"{len(result.document['set_aside'])} things in the input were not used; the report lists them.", err=True
        )
    typer.echo(RESEARCH_USE_ONLY, err=True)
    typer.echo(f"report: {result.report}")


@simulate.command("patient", help="Make a synthetic patient: a study as DICOM in DIR/dicom, the truth in DIR/truth.")
def simulate_patient(
    *,
    out: Out,
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, help="The same seed gives the same patient; training saw some below a million."),
    ] = 1_000_000,
    lesions: Annotated[
        str, typer.Option("--lesions", metavar="KIND", help="mixed, malignant, benign or none.")
    ] = "mixed",
    sequence: Annotated[
        list[str] | None, typer.Option("--sequence", metavar="NAME", help="Series to take; may be repeated.")
    ] = None,
    visits: Annotated[
        str | None,
        typer.Option(
            "--visits",
            metavar="DAYS",
            help="Days of several visits, as 0,90, or nine months of a schedule, as quarterly:9 or irregular:9; "
            "lesions change with time, and studies are in DIR/visit-1 and so on.",
        ),
    ] = None,
) -> None:
    """Make a synthetic patient.

    Parameters
    ----------
    out : Path
        Holds ``dicom`` and ``truth`` afterward.
    seed : int
        The same seed gives the same patient.
    lesions : str
        Kind of lesions.
    sequence : list of str, optional
        Series to take.
    visits : str, optional
        Days of several visits, separated by commas, or a schedule.
    """
    from spondyl.app.simulate import planned_visits, simulate_study, simulate_visits
    from spondyl.core import SettingsError
    from spondyl.core.sequence import Sequence

    names = [name.upper() for name in sequence or []]
    unknown = [name for name in names if name not in {s.value for s in Sequence}]
    if unknown:
        msg = f"--sequence wants one of {', '.join(s.value for s in Sequence)}"
        raise typer.BadParameter(msg)
    series = tuple(Sequence(name) for name in names)
    try:
        days = planned_visits(visits, seed, series) if visits is not None else ()
    except SettingsError as error:
        raise typer.BadParameter(str(error), param_hint="--visits") from None
    if days and lesions != "mixed":
        msg = "--visits draws its own lesions; leave --lesions out"
        raise typer.BadParameter(msg)
    with shown_progress() as progress:
        progress("simulate", 1, 1)
        if days:
            studies: tuple[Path, ...] = simulate_visits(seed, out, days, sequences=series)
        else:
            studies = (simulate_study(seed, out, lesions=lesions, sequences=series),)
    for study in studies:
        typer.echo(f"study: {study}")


@simulate.command("cohort", help="Make a synthetic cohort with omics: tables in DIR, what is true of it in DIR/truth.")
def simulate_cohort(
    *,
    out: Out,
    patients: Annotated[int, typer.Option("--patients", min=1, help="How many.")] = 600,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same patients.")] = 1_000_000,
    world: Annotated[
        int, typer.Option("--world", min=0, help="Constants of nature; cohorts of one world fit together.")
    ] = 0,
    confounding: Annotated[
        float, typer.Option("--confounding", min=0, max=1, help="0: scanners by chance; 1: by subtype.")
    ] = 0.5,
    missing: Annotated[float, typer.Option("--missing", min=0, max=1, help="Share of omics tables missing.")] = 0.3,
    pattern: Annotated[
        str, typer.Option("--pattern", metavar="NAME", help="random, patient, site, burden, site_table or block.")
    ] = "random",
) -> None:
    """Make a synthetic cohort with omics.

    Parameters
    ----------
    out : Path
        Holds the tables and ``truth`` afterward.
    patients : int
        How many.
    seed, world : int
        Of the patients, and of what is the same for all cohorts that fit together.
    confounding : float
        How far scanners go along with subtypes.
    missing : float
        Share of omics tables that are missing.
    pattern : str
        What the gaps depend on.
    """
    from spondyl.app.simulate_cohort import simulate_cohort_files
    from spondyl.phantom.biology import BiologySettings

    settings = BiologySettings(confounding, missing_omics=missing, missing_pattern=pattern, world=world)
    with shown_progress() as progress:
        progress("simulate", 1, 1)
        folder = simulate_cohort_files(patients, seed, out, settings)
    typer.echo(f"cohort: {folder}")


@models.command("list")
def list_models() -> None:
    """List the networks in the package, with version, hash and task."""
    from spondyl.io.weights import packaged_cards

    for card in packaged_cards():
        typer.echo(f"{card.name} {card.version}  sha256 {card.sha256[:12]}…  {card.task}")


@app.command()
def doctor() -> None:
    """Say what this machine has, what is missing, and how to get it."""
    from spondyl.app.doctor import examine

    checks = examine()
    marks = {"ok": "ok", "optional": "--", "missing": "!!"}
    for check in checks:
        typer.echo(
            f"{marks[check.state]}  {check.name:<22} {check.found}" + (f": {check.remedy}" if check.remedy else "")
        )
    if any(check.state == "missing" for check in checks):
        typer.echo("something that an analysis needs is missing (!!)", err=True)
        raise typer.Exit(UNUSABLE)
    typer.echo("ready to analyze")


def main() -> None:
    """Run the command line."""
    app(prog_name="spondyl")


if __name__ == "__main__":
    main()
