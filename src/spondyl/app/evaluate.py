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


def _tell(said: str, out: Path) -> None:
    from spondyl import RESEARCH_USE_ONLY

    typer.echo(f"{said}.", err=True)
    typer.echo(RESEARCH_USE_ONLY, err=True)
    typer.echo(f"report: {out / 'report.html'}")
