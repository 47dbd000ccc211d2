"""Cohorts on the command line: tables in, AnnData, pictures and a report out.

Everything heavy is imported inside the commands, so that ``spondyl --help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder for the result: new, empty, or an earlier one to replace.")
]

cohort = typer.Typer(
    help="Many patients: analyze, harmonize, embed, predict and explain.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@cohort.callback()
def _root() -> None:
    """Many patients: analyze, harmonize, embed, predict and explain."""


@cohort.command("harmonize", help="Bring the features of many scanners to one scale; tables and report in DIR.")
def harmonize(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, TSV or h5ad; one row per patient or lesion.")],
    *,
    out: Out,
    site: Annotated[
        str, typer.Option("--site", metavar="COLUMN", help="The scanner; or nested columns, coarse to fine: a,b,c.")
    ],
    keep: Annotated[str, typer.Option("--keep", metavar="COLUMNS", help="Covariates whose effect is kept: a,b.")] = "",
    smooth: Annotated[
        str, typer.Option("--smooth", metavar="COLUMNS", help="Those whose effect is kept as a smooth curve.")
    ] = "",
    subject: Annotated[
        str, typer.Option("--subject", metavar="COLUMN", help="The patient, where some were scanned repeatedly.")
    ] = "",
    outcome: Annotated[
        str, typer.Option("--outcome", metavar="COLUMN", help="Tabulated by scanner, to see whether they are tangled.")
    ] = "",
    leave: Annotated[
        str, typer.Option("--leave", metavar="COLUMNS", help="Numeric columns that are no features.")
    ] = "",
    apply_to: Annotated[
        Path | None, typer.Option("--apply", metavar="TABLE", help="New patients, to whom the model is applied.")
    ] = None,
    unseen: Annotated[
        str, typer.Option("--unseen", metavar="POLICY", help="refuse, pooled, calibrate or nearest.")
    ] = "refuse",
    nearest_by: Annotated[
        str, typer.Option("--nearest-by", metavar="COLUMNS", help="What describes an acquisition, for nearest.")
    ] = "",
    reference: Annotated[
        str, typer.Option("--reference", metavar="SCANNER", help="Bring all to this scanner's scale.")
    ] = "",
    shrink: Annotated[bool, typer.Option(help="Empirical Bayes.")] = True,
    mean_only: Annotated[bool, typer.Option("--mean-only", help="Remove additive effects only.")] = False,
    covariance: Annotated[bool, typer.Option("--covariance", help="Align covariances, too (CovBat).")] = False,
    permutations: Annotated[
        int, typer.Option("--permutations", min=0, help="Random exchanges of scanners for each probe.")
    ] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of folds and exchanges.")] = 0,
) -> None:
    """Harmonize a table.

    Parameters
    ----------
    table : Path
        The training table.
    out : Path
        The result folder.
    site : str
        Column of the scanner, or nested columns with commas between.
    keep, smooth : str
        Kept covariates with commas between.
    subject, outcome : str
        Further columns with a meaning.
    leave : str
        Numeric columns that are no features.
    apply_to : Path, optional
        New patients.
    unseen, nearest_by : str
        What is done with scanners that were not learned.
    reference : str
        Scanner to whose scale all are brought.
    shrink, mean_only, covariance : bool
        Which member of the ComBat family.
    permutations, seed : int
        How probes are compared with chance.
    """
    from spondyl import RESEARCH_USE_ONLY
    from spondyl.app.cohort_audit import AuditSettings
    from spondyl.app.cohort_harmonize import HarmonizeChoices, harmonize_files
    from spondyl.app.cohort_report import headline
    from spondyl.app.console import shown_progress
    from spondyl.harmonize.combat import ComBatSettings
    from spondyl.harmonize.harmony_spine import HarmonySpine
    from spondyl.harmonize.unseen import UnseenSettings

    variables = _names(site)
    model = HarmonySpine(
        site=variables[0] if len(variables) == 1 else variables,
        keep=_names(keep),
        smooth=_names(smooth),
        combat=ComBatSettings(shrink=shrink, mean_only=mean_only, reference=reference, covariance=covariance),
        unseen=UnseenSettings(unseen, _names(nearest_by)),
        subject=subject,
    )
    choices = HarmonizeChoices(model, AuditSettings(outcome, permutations, seed), _names(leave))
    with shown_progress() as progress:
        found = harmonize_files(table, out, choices, apply_to=apply_to, progress=progress)
    typer.echo(headline(found.audit) + ".", err=True)
    typer.echo(RESEARCH_USE_ONLY, err=True)
    typer.echo(f"report: {out / 'report.html'}")


@cohort.command("analyze", help="Analyze every study of a folder or URL, resumable, into results and one AnnData.")
def analyze(
    studies: Annotated[
        str, typer.Argument(metavar="STUDIES", help="Folder or URL (s3://...) with a folder or zip for each study.")
    ],
    *,
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder or URL for results; earlier ones are kept.")],
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="Studies at once here; 0 takes as many as fit.")] = 0,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Processor threads for each study.")] = 1,
    database: Annotated[
        str, typer.Option("--database", metavar="URL", help="postgresql://... where other machines help.")
    ] = "",
    settings: Annotated[
        Path | None, typer.Option("--settings", metavar="FILE", help="TOML file with settings of the analysis.")
    ] = None,
) -> None:
    """Analyze every study of a place.

    Parameters
    ----------
    studies : str
        Where they lie.
    out : str
        Where results go.
    jobs : int
        Worker processes.
    threads : int
        Processor threads of each.
    database : str
        URL of the database.
    settings : Path, optional
        TOML file.
    """
    from spondyl import RESEARCH_USE_ONLY
    from spondyl.app.cohort_analyze import OUTCOMES, TABLE, CohortChoices, analyze_cohort
    from spondyl.app.console import shown_progress

    choices = CohortChoices(jobs, threads, database, settings)
    with shown_progress() as progress:
        outcomes = analyze_cohort(studies, out, choices, progress=progress)
    failed = sum(bool(why) for why in outcomes.values())
    typer.echo(f"{len(outcomes) - failed} of {len(outcomes)} studies analyzed; {OUTCOMES} tells of each.", err=True)
    typer.echo(RESEARCH_USE_ONLY, err=True)
    typer.echo(f"table: {out.rstrip('/')}/{TABLE}")


@cohort.command("risk", help="Learn the time to an event, measure, and explain; tables and report in DIR.")
def risk(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, TSV or h5ad; one row per patient.")],
    *,
    out: Out,
    time: Annotated[
        str, typer.Option("--time", metavar="COLUMN", help="Time to the event or the last contact; needed to learn.")
    ] = "",
    event: Annotated[
        str,
        typer.Option("--event", metavar="COLUMN", help="0 none, 1 the event, 2 and above competing; needed to learn."),
    ] = "",
    saved: Annotated[
        Path | None,
        typer.Option("--apply", metavar="MODEL", help="Predict by the model.json of an earlier result; learn nothing."),
    ] = None,
    test: Annotated[
        Path | None, typer.Option("--test", metavar="TABLE", help="Patients to predict; else in folds.")
    ] = None,
    patient: Annotated[
        str, typer.Option("--patient", metavar="COLUMN", help="The patient, where one has several rows.")
    ] = "",
    leave: Annotated[str, typer.Option("--leave", metavar="COLUMNS", help="Columns that are no features: a,b.")] = "",
    trust: Annotated[
        str,
        typer.Option("--trust", metavar="COLUMNS", help="Features known before the outcome, however well they tell."),
    ] = "",
    modality: Annotated[
        list[str] | None,
        typer.Option("--modality", metavar="NAME=COLUMNS", help="Columns fused late, such as imaging=a,b; repeat."),
    ] = None,
    rule: Annotated[
        str, typer.Option("--rule", metavar="COLUMN", help="A score or stage that is compared as it is.")
    ] = "",
    horizons: Annotated[
        str, typer.Option("--horizons", metavar="TIMES", help="Times by which risks are given: 6,12,24.")
    ] = "",
    explain: Annotated[int, typer.Option("--explain", min=3, help="Patients explained.")] = 40,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of folds, trees and draws.")] = 0,
) -> None:
    """Learn the time to an event.

    Parameters
    ----------
    table : Path
        The training table.
    out : Path
        The result folder.
    time, event : str
        Columns of the follow-up; may be left out where a model is applied.
    saved : Path, optional
        A saved model to predict by.
    test : Path, optional
        Patients to predict.
    patient : str
        Column of the patient.
    leave, trust : str
        Columns that are no features, and features that are kept though they tell the outcome.
    modality : list of str, optional
        Columns of each modality.
    rule : str
        Column of a score to compare with.
    horizons : str
        Times with commas between.
    explain, seed : int
        Patients explained, and the seed of all draws.
    """
    from spondyl import RESEARCH_USE_ONLY
    from spondyl.app.cohort_risk import RiskChoices, risk_files
    from spondyl.app.console import shown_progress
    from spondyl.app.risk_report import headline
    from spondyl.app.risk_table import RiskColumns, named_columns, times

    if saved is not None:
        from spondyl.app.risk_saved import apply_files

        applied = apply_files(table, saved, out, time=time, event=event, horizons=times(horizons))
        refused = applied["n_not_assessable"]
        given = applied["n_predicted"] - refused
        typer.echo(f"{given} patients were given risks, {refused} a reason instead.", err=True)
        typer.echo(RESEARCH_USE_ONLY, err=True)
        typer.echo(f"predictions: {out / 'predictions.csv'}")
        return
    if not time or not event:
        msg = "name the columns of the follow-up with --time and --event, or a saved model with --apply"
        raise typer.BadParameter(msg)
    columns = RiskColumns(time, event, patient, _names(leave), _names(trust), named_columns(modality or []), rule)
    choices = RiskChoices(columns, times(horizons), explain, seed)
    with shown_progress() as progress:
        found = risk_files(table, out, choices, test=test, progress=progress)
    typer.echo(headline(found) + ".", err=True)
    typer.echo(RESEARCH_USE_ONLY, err=True)
    typer.echo(f"report: {out / 'report.html'}")


@cohort.command("embed", help="Place patients by what imaging and omics share; tokens, map and report in DIR.")
def embed(
    cohort_path: Annotated[
        Path,
        typer.Argument(
            metavar="COHORT", help="Folder with patients.csv, imaging.csv, mutations.csv, ... or a MuData file (.h5mu)."
        ),
    ],
    *,
    out: Out,
    confounders: Annotated[
        str,
        typer.Option(
            "--confounders",
            metavar="COLUMNS",
            help="What changes measurements: coil,vendor,field,site:imaging+pathology.",
        ),
    ] = "",
    disease: Annotated[
        str, typer.Option("--disease", metavar="COLUMNS", help="What is disease, so never removed: a,b.")
    ] = "",
    apply_to: Annotated[
        Path | None, typer.Option("--apply", metavar="COHORT", help="New patients, who are placed by what was learned.")
    ] = None,
    spread: Annotated[
        str, typer.Option("--spread", metavar="COLUMN", help="Tell tokens' spread over this column, as primary.")
    ] = "",
    encoder: Annotated[
        str,
        typer.Option("--encoder", metavar="NAME", help="cca: closed form; infonce: networks, for large cohorts."),
    ] = "cca",
    tokens: Annotated[int, typer.Option("--tokens", min=0, help="Size of the vocabulary; 0 to choose.")] = 0,
    dimension: Annotated[int, typer.Option("--dimension", min=0, help="Coordinates; 0 to choose.")] = 0,
    resamples: Annotated[int, typer.Option("--resamples", min=0, help="Resamples for the tokens' stability.")] = 10,
    permutations: Annotated[int, typer.Option("--permutations", min=0, help="Exchanges for each probe.")] = 10,
    sensitivity: Annotated[bool, typer.Option(help="Learn again under other assumptions.")] = True,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of everything random.")] = 0,
) -> None:
    """Embed a cohort.

    Parameters
    ----------
    cohort_path : Path
        The training cohort.
    out : Path
        The result folder.
    confounders, disease : str
        Declared columns with commas between; a confounder may name the tables it acts on.
    apply_to : Path, optional
        New patients.
    spread : str
        Column over which tokens' spread is told.
    encoder : str
        ``"cca"`` or ``"infonce"``.
    tokens, dimension : int
        Size of vocabulary and embedding; 0 to choose.
    resamples, permutations : int
        How thoroughly stability and probes are measured.
    sensitivity : bool
        Whether other assumptions are tried.
    seed : int
        Of everything random.
    """
    from spondyl import RESEARCH_USE_ONLY
    from spondyl.app.cohort_embed import EmbedChoices, embed_files, encoder_of
    from spondyl.app.console import shown_progress
    from spondyl.app.embed_report import headline
    from spondyl.socce.encoder import SOCCE
    from spondyl.socce.graph import ConfounderGraph

    model = SOCCE(
        ConfounderGraph.usual(_names(confounders), _names(disease)),
        dimension or "auto",
        tokens or "auto",
        encoder=encoder_of(encoder, seed),
        seed=seed,
    )
    choices = EmbedChoices(model, spread, resamples, permutations, sensitivity)
    with shown_progress() as progress:
        found = embed_files(cohort_path, out, choices, apply_to=apply_to, progress=progress)
    typer.echo(headline(found) + ".", err=True)
    typer.echo(RESEARCH_USE_ONLY, err=True)
    typer.echo(f"report: {out / 'report.html'}")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
