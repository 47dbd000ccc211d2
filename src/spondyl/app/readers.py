"""Reader studies on the command line: plan one, analyze one.

Everything heavy is imported inside the commands, so that ``spondyl --help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

MARK_RESULTS, MARK_PLAN = "results.json", "plan.json"
"""Files that mark a folder as the result of a command, which may be replaced."""

SCHEMA = "spondyl-reader-study-1"
"""Version of ``results.json`` and ``plan.json``; the number grows when a field changes its meaning."""

readers = typer.Typer(
    help="Reader studies: plan them, analyze them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder for the result: new, empty, or an earlier one to replace.")
]


def _population(of_readers: str, of_cases: str) -> Any:
    from spondyl.evaluation.mrmc_components import Population

    words = ("random", "fixed")
    if of_readers not in words or of_cases not in words or (of_readers, of_cases) == ("fixed", "fixed"):
        msg = "--readers and --cases take random or fixed, and at most one of them fixed"
        raise typer.BadParameter(msg)
    if of_readers == "fixed":
        return Population.CASES
    return Population.READERS if of_cases == "fixed" else Population.BOTH


@readers.command("analyze", help="Analyze a reader study: results.json, report.html and report.pdf in DIR.")
@readers.command("analyse", hidden=True)
def analyze(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Readings: CSV, iMRMC's text format, or the review page's export.")
    ],
    *,
    out: Out,
    metric: Annotated[str, typer.Option("--metric", help="auc, sensitivity or specificity.")] = "auc",
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="Scores from here call a case positive; adds sensitivity and specificity."),
    ] = None,
    reference: Annotated[str, typer.Option("--reference", metavar="NAME", help="Modality to compare with.")] = "",
    margin: Annotated[float, typer.Option("--margin", help="Non-inferiority margin; 0 tests a difference.")] = 0.0,
    of_readers: Annotated[str, typer.Option("--readers", help="random or fixed.")] = "random",
    of_cases: Annotated[str, typer.Option("--cases", help="random or fixed.")] = "random",
    analysis: Annotated[
        str, typer.Option("--analysis", help="or (Obuchowski-Rockette), dbm, or ustat (U-statistics).")
    ] = "or",
    covariance: Annotated[str, typer.Option("--covariance", help="delong, jackknife or unbiased.")] = "delong",
    confidence: Annotated[float, typer.Option("--confidence", help="Coverage of intervals.")] = 0.95,
    standalone: Annotated[
        list[str] | None,
        typer.Option("--standalone", metavar="READER", help="An algorithm among the readers; may be repeated."),
    ] = None,
) -> None:
    """Analyze a reader study and write the report.

    Parameters
    ----------
    file : Path
        The readings.
    out : Path
        The result folder.
    metric : str
        Figure of merit of the main comparison.
    threshold : float, optional
        From which score a case is called positive.
    reference : str
        Modality to compare with.
    margin : float
        Non-inferiority margin.
    of_readers, of_cases : str
        Whether they stand for others.
    analysis : str
        Method.
    covariance : str
        Where covariances of cases come from.
    confidence : float
        Coverage of intervals.
    standalone : list of str, optional
        Readers that are algorithms.
    """
    population = _population(of_readers, of_cases)
    from spondyl.app.reader_analysis import AnalysisChoices
    from spondyl.app.reader_files import analyze_file
    from spondyl.app.reader_report import headline
    from spondyl.evaluation.mrmc_figures import MrmcSettings

    settings = MrmcSettings(
        metric=metric,
        threshold=0.5 if threshold is None else threshold,
        analysis=analysis,
        covariance=covariance,
        population=population,
        confidence=confidence,
        reference=reference,
        margin=margin,
    )
    found = analyze_file(file, out, AnalysisChoices(settings, threshold, tuple(standalone or ())))
    _tell(headline(found.main) + ".", out)


def _tell(said: str, out: Path) -> None:
    from spondyl import RESEARCH_USE_ONLY

    typer.echo(said, err=True)
    typer.echo(RESEARCH_USE_ONLY, err=True)
    typer.echo(f"report: {out / 'report.html'}")


@readers.command("plan", help="Plan a reader study: protocol, sizes, endpoints and randomization list in DIR.")
def plan(
    *,
    out: Out,
    n_readers: Annotated[int, typer.Option("--readers", min=1, help="Number of readers.")] = 8,
    n_cases: Annotated[
        int | None, typer.Option("--cases", min=2, help="Number of cases; as many as needed if not given.")
    ] = None,
    positive_share: Annotated[float, typer.Option("--positive-share", help="Share of positive cases.")] = 0.5,
    effect: Annotated[
        float | None, typer.Option("--effect", help="True difference; 0.05, or 0 with a margin, if not given.")
    ] = None,
    margin: Annotated[float, typer.Option("--margin", help="Non-inferiority margin; 0 tests a difference.")] = 0.0,
    alpha: Annotated[
        float | None, typer.Option("--alpha", help="Level; 0.05 two-sided, or 0.025 one-sided with a margin.")
    ] = None,
    power: Annotated[float, typer.Option("--power", help="Power wanted.")] = 0.8,
    of_readers: Annotated[str, typer.Option("--as-readers", help="Readers are random or fixed.")] = "random",
    groups: Annotated[
        int, typer.Option("--groups", min=1, help="Groups of readers with cases of their own (split-plot).")
    ] = 1,
    modality: Annotated[
        list[str] | None,
        typer.Option("--modality", metavar="NAME", help="Way of reading; may be repeated, the first is the reference."),
    ] = None,
    sequential: Annotated[
        bool, typer.Option("--sequential", help="Read each case in all modalities one after the other.")
    ] = False,
    washout_weeks: Annotated[int, typer.Option("--washout-weeks", min=0, help="Weeks between sessions.")] = 4,
    pilot: Annotated[
        Path | None, typer.Option("--pilot", metavar="FILE", help="results.json of a pilot, or its readings.")
    ] = None,
    area: Annotated[float, typer.Option("--area", help="Expected area of the reference, without a pilot.")] = 0.8,
    structure: Annotated[
        str,
        typer.Option("--structure", help="Components without a pilot: published, or HH, HL, LH, LL by Roe and Metz."),
    ] = "published",
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same lists.")] = 0,
) -> None:
    """Plan a reader study and write the protocol.

    Parameters
    ----------
    out : Path
        The result folder.
    n_readers : int
        Readers.
    n_cases : int, optional
        Cases; as many as needed if not given.
    positive_share : float
        Share of positive cases.
    effect : float, optional
        True difference.
    margin : float
        Non-inferiority margin.
    alpha : float, optional
        Level of the test.
    power : float
        Power wanted.
    of_readers : str
        Whether they stand for others.
    groups : int
        Groups of readers with cases of their own.
    modality : list of str, optional
        Ways of reading.
    sequential : bool
        Whether each case is read in all modalities at once.
    washout_weeks : int
        Weeks between sessions.
    pilot : Path, optional
        A pilot.
    area : float
        Expected area of the reference, without a pilot.
    structure : str
        Components of variance, without a pilot.
    seed : int
        Seed of the lists.
    """
    population = _population(of_readers, "random")
    from spondyl.app.reader_plan import PlanChoices, plan_study, protocol_page, write_plan
    from spondyl.evaluation.mrmc_sizing import Goal

    goal = Goal(
        effect if effect is not None else 0.0 if margin else 0.05,
        margin,
        alpha if alpha is not None else 0.025 if margin else 0.05,
        power,
        population,
        groups,
    )
    names = tuple(modality) if modality else ("unaided", "aided")
    choices = PlanChoices(
        goal, n_readers, n_cases, positive_share, names, sequential, washout_weeks, seed, pilot, area, structure
    )
    made = plan_study(choices)
    write_plan(made, out)
    typer.echo(protocol_page(made).title + ".", err=True)
    typer.echo(f"protocol: {out / 'protocol.html'}")
