"""The report: one HTML file that a tumor board reads in a minute, with nothing to load from elsewhere.

Everything the page shows comes from the case; nothing comes from the free text of a header. Values pass through
Jinja's autoescaping, so that no text can become markup.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.io import wording
from spondyl.io.early_section import early_section
from spondyl.io.omics_panels import omics_section
from spondyl.io.panels import LESION_PICTURE_PX, PICTURED_LESIONS, SLICE_PICTURE_PX, Pictures, level_text
from spondyl.io.response_panels import change_rows, height_words
from spondyl.io.result import slice_count
from spondyl.io.risk_section import risk_section
from spondyl.io.score_panels import score_section
from spondyl.io.views import stack_axis

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from spondyl.core import Case, Image, Lesion
    from spondyl.io.files import SetAside

CLASSES = ("malignant", "benign", "normal")


def write_report(
    case: Case,
    path: Path,
    *,
    methods: str,
    set_aside: Iterable[SetAside] = (),
    timings_s: Mapping[str, float] | None = None,
    prior: Case | None = None,
    pictures: Pictures | None = None,
) -> None:
    """Write the report of a case.

    Parameters
    ----------
    case : Case
        The analyzed case.
    path : Path
        The file to write; its folder exists.
    methods : str
        The methods paragraph.
    set_aside : iterable of SetAside, optional
        What was found in the input and not used.
    timings_s : mapping of str to float, optional
        Seconds by part of the work; those of the steps are added from the history.
    prior : Case, optional
        The prior study that the case was compared with, for pictures side by side.
    pictures : Pictures, optional
        Of the same case, where another report has shown some already.
    """
    text = render_report(
        case, methods=methods, set_aside=set_aside, timings_s=timings_s, prior=prior, pictures=pictures
    )
    path.write_text(text, encoding="utf-8")


def render_report(
    case: Case,
    *,
    methods: str,
    set_aside: Iterable[SetAside] = (),
    timings_s: Mapping[str, float] | None = None,
    prior: Case | None = None,
    pictures: Pictures | None = None,
) -> str:
    """Give the report of a case as HTML.

    Parameters
    ----------
    case : Case
        The analyzed case.
    methods : str
        The methods paragraph.
    set_aside : iterable of SetAside, optional
        What was found in the input and not used.
    timings_s : mapping of str to float, optional
        Seconds by part of the work; those of the steps are added from the history.
    prior : Case, optional
        The prior study that the case was compared with, for pictures side by side.
    pictures : Pictures, optional
        Of the same case, where another report has shown some already.

    Returns
    -------
    str
        One self-contained page.
    """
    spent = {record.name: record.seconds for record in case.history} | dict(timings_s or {})
    return (
        _environment()
        .get_template("report.html")
        .render(
            **_pictures(pictures or Pictures(case), prior),
            response=case.response,
            heights=height_words(case),
            case_id=case.case_id,
            notice=RESEARCH_USE_ONLY,
            version=__version__,
            headline=wording.headline(case),
            summary=wording.summary(case),
            classes=CLASSES,
            amount=wording.amount,
            measured_steps=[
                (wording.STEP_WORDS.get(record.name, record.name.capitalize()), record.measurements)
                for record in case.history
                if record.measurements
            ],
            lesions=[_lesion_line(lesion, case) for lesion in case.lesions],
            pictured=PICTURED_LESIONS,
            scores=score_section(case),
            risk=risk_section(case),
            early=early_section(case),
            omics=omics_section(case),
            vertebrae=[_vertebra_line(case, number) for number in range(len(case.vertebrae))],
            flags=[(wording.SEVERITY_WORDS.get(f.severity, "Note"), f) for f in _sorted_flags(case)],
            sequences=[_sequence_line(image, used="yes") for image in case.images.values()]
            + [_sequence_line(image, used="helper") for image in case.others],
            reference="" if case.reference is None else str(case.reference),
            set_aside=list(set_aside),
            methods=methods,
            models={name: sha for record in case.history for name, sha in record.models.items()},
            timings=[(wording.STEP_WORDS.get(name, name.capitalize()), seconds) for name, seconds in spent.items()],
            steps=[(record.name, record.version) for record in case.history],
        )
    )


@cache
def _environment() -> Environment:
    """Where templates come from; each is compiled once in a process."""
    return Environment(
        loader=PackageLoader("spondyl.io"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _pictures(pictures: Pictures, prior: Case | None) -> dict[str, Any]:
    case = pictures.case
    column = pictures.column(width_px=pictures.column_px)
    lesion_rows = [
        (_lesion_line(row.lesion, case), row.panels) for row in pictures.lesion_rows(width_px=LESION_PICTURE_PX)
    ]
    montage = pictures.montage(width_px=SLICE_PICTURE_PX)
    changes = change_rows(pictures, prior, width_px=LESION_PICTURE_PX)
    return {
        "changes": changes,
        "column": column,
        "side_by_side": pictures.side_by_side,
        "in_row": pictures.in_row,
        "place": column[0].view.place if column else "",
        "lesion_rows": lesion_rows,
        "montage": montage,
        "store": pictures.store.svg(),
    }


def _lesion_line(lesion: Lesion, case: Case) -> dict[str, Any]:
    return {
        "number": lesion.label,
        "place": wording.place(lesion, case),
        "diameter_mm": f"{lesion.longest_diameter_mm:.0f}",
        "volume_ml": wording.milliliters(lesion.volume_mm3),
        "probabilities": [(name, lesion.probabilities.get(name, 0.0)) for name in CLASSES],
        "confidence": lesion.confidence,
        "uncertainty": lesion.uncertainty,
        "uncertainty_word": wording.uncertainty_word(lesion.uncertainty),
        "sequences": ", ".join(lesion.sequences_used),
        "measurements": wording.measured(lesion),
        "rests_on": wording.rests_on(lesion),
        "opinion": wording.opinion(lesion),
        "compartment": lesion.compartment,
    }


def _vertebra_line(case: Case, number: int) -> dict[str, Any]:
    vertebra = case.vertebrae[number]
    return {
        "instance": vertebra.instance,
        "name": level_text(vertebra),
        "doubtful": vertebra.level_uncertain or vertebra.level is None,
        "probability": vertebra.level_probability,
        "volume_ml": wording.milliliters(vertebra.volume_mm3),
        "confidence": vertebra.detection_confidence,
        "remarks": wording.remarks(vertebra),
        "opinion": wording.opinion(vertebra),
        "lesions": [lesion.label for lesion in case.lesions if lesion.vertebra_instance == vertebra.instance],
    }


def _sequence_line(image: Image, *, used: str) -> dict[str, Any]:
    spacing = sorted(image.grid.spacing_mm)
    return {
        "sequence": str(image.sequence).replace("_", " "),
        "used": used,
        "series": ", ".join(str(number) for number in _series_numbers(image)),
        "confidence": image.sequence_confidence,
        "plane": "volume" if stack_axis(image.grid) is None else image.grid.plane,
        "slices": slice_count(image),
        "spacing": f"{spacing[0]:.2f} × {spacing[1]:.2f} × {spacing[2]:.2f}",
        "timing": wording.timing(image.acquisition),
        "scanner": wording.scanner(image.acquisition),
        "evidence": "; ".join(image.source.evidence),
    }


def _series_numbers(image: Image) -> list[int]:
    """Give the numbers of the series that an image is, or was joined from."""
    numbers = [image.source.series_number, *(station.series_number for station in image.source.stations)]
    return [number for number in dict.fromkeys(numbers) if number is not None]


def _sorted_flags(case: Case) -> list[Any]:
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(case.quality, key=lambda flag: order.get(flag.severity, 3))
