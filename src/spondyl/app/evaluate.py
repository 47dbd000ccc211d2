"""Performance on the command line: segmentations against their truth, marks against lesions, scores against classes.

Everything heavy is imported inside the commands, so that ``spondyl --help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

evaluate = typer.Typer(
    help="Performance with intervals, against a truth that you bring.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder for the result: new, empty, or an earlier one to replace.")
]
Threshold = Annotated[
    float | None,
    typer.Option("--threshold", help="Operating point, chosen on other data: scores from here count as yes."),
]


@evaluate.command("segmentations", help="Compare NIfTI label maps with the truth of the same file names.")
def segmentations(
    truth: Annotated[Path, typer.Argument(metavar="TRUTH_DIR", help="Folder of true label maps.")],
    predicted: Annotated[Path, typer.Argument(metavar="PREDICTED_DIR", help="Folder of predicted label maps.")],
    *,
    out: Out,
    label: Annotated[
        list[int] | None, typer.Option("--label", min=1, help="Label to score; may be repeated. All if not given.")
    ] = None,
    tolerance_mm: Annotated[
        float | None, typer.Option("--tolerance-mm", min=0, help="Tolerance of the surface Dice; 1 mm if not given.")
    ] = None,
) -> None:
    """Compare folders of label maps and write the report.

    Parameters
    ----------
    truth, predicted : Path
        Folders of NIfTI label maps, paired by file name.
    out : Path
        The result folder.
    label : list of int, optional
        Labels to score.
    tolerance_mm : float, optional
        Tolerance of the surface Dice, in mm.
    """
    from spondyl.app.evaluate_files import write_evaluation
    from spondyl.app.evaluate_segmentations import evaluate_segmentations
    from spondyl.evaluation.segmentation import TOLERANCE_MM

    tolerance = TOLERANCE_MM if tolerance_mm is None else tolerance_mm
    _tell(write_evaluation(out, lambda: evaluate_segmentations(truth, predicted, label, tolerance)), out)


@evaluate.command("detections", help="Score marks on lesions: sensitivity against false positives per study.")
def detections(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="CSV with patient, study, lesion, volume_ml and score.")
    ],
    *,
    out: Out,
    threshold: Threshold = None,
) -> None:
    """Score marks on lesions and write the report.

    Parameters
    ----------
    table : Path
        One row per lesion and per false positive.
    out : Path
        The result folder.
    threshold : float, optional
        Operating point at which sensitivity by lesion size is told.
    """
    from spondyl.app.evaluate_files import write_evaluation
    from spondyl.app.evaluate_tables import evaluate_detections

    _tell(write_evaluation(out, lambda: evaluate_detections(table, threshold)), out)


@evaluate.command("classifications", help="Score classes: ROC area, calibration and decisions, or calls of classes.")
def classifications(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="CSV with truth, one of score, probability or called, and patient.")
    ],
    *,
    out: Out,
    threshold: Threshold = None,
) -> None:
    """Score classes and write the report.

    Parameters
    ----------
    table : Path
        One row per case.
    out : Path
        The result folder.
    threshold : float, optional
        Operating point at which decisions are scored.
    """
    from spondyl.app.evaluate_files import write_evaluation
    from spondyl.app.evaluate_tables import evaluate_classifications

    _tell(write_evaluation(out, lambda: evaluate_classifications(table, threshold)), out)


@evaluate.command("site", help="Evaluate on your own studies: a two-page report, failures, and a reporting table.")
def site(
    studies: Annotated[
        Path, typer.Argument(metavar="STUDIES", help="Folder with one folder, zip or NIfTI file a study.")
    ],
    *,
    truth: Annotated[
        Path, typer.Option("--truth", metavar="TABLE", help="CSV with study, level and class, and what else is known.")
    ],
    out: Out,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Probability called malignant from here; 0.5 if not given.")
    ] = None,
    analyses: Annotated[
        Path | None,
        typer.Option(
            "--analyses",
            metavar="DIR",
            help="Analyses: those in it are used, missing ones made. OUT-analyses if not given.",
        ),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option("--answers", metavar="FILE", help="answers.toml, filled in, for the reporting table."),
    ] = None,
    before: Annotated[
        Path | None, typer.Option("--before", metavar="DIR", help="An earlier evaluation, to see what changed.")
    ] = None,
    settings: Annotated[
        Path | None, typer.Option("--settings", metavar="FILE", help="TOML file with settings of the analysis.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=0, help="Processor threads; 0 takes all, the default.")
    ] = None,
) -> None:
    """Evaluate on a hospital's own studies and write the report.

    Parameters
    ----------
    studies : Path
        The studies.
    truth : Path
        What is true of them.
    out : Path
        The result folder.
    threshold : float, optional
        Probability from which a vertebra is called malignant.
    analyses : Path, optional
        Where analyses are and are kept.
    answers : Path, optional
        A hospital's answers for the reporting table.
    before : Path, optional
        An earlier evaluation.
    settings : Path, optional
        Settings of the analysis.
    threads : int, optional
        Processor threads, over those of the settings.
    """
    from dataclasses import replace

    from spondyl.app.console import shown_progress
    from spondyl.app.evaluate_site import THRESHOLD, SiteChoices, evaluate_site
    from spondyl.pipeline.settings import Settings, read_settings

    chosen = read_settings(settings) if settings is not None else Settings()
    if threads is not None:
        chosen = replace(chosen, threads=threads)
    choices = SiteChoices(THRESHOLD if threshold is None else threshold, analyses, answers, before, chosen)
    with shown_progress() as progress:
        said = evaluate_site(studies, truth, out, choices, progress)
    _tell(said, out)


def _tell(said: str, out: Path) -> None:
    from spondyl import RESEARCH_USE_ONLY

    typer.echo(f"{said}.", err=True)
    typer.echo(RESEARCH_USE_ONLY, err=True)
    typer.echo(f"report: {out / 'report.html'}")
