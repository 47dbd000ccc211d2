"""Free response in reader studies: readers mark findings, and a mark counts where it hits a lesion.

The figures of merit and their covariances over cases are those of `spondyl.evaluation.free_response`; here they are
arranged by reader and modality for `spondyl.evaluation.mrmc_figures.analyze_figures`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.detection import FALSE_POSITIVE, Study
from spondyl.evaluation.free_response import FigureOfMerit, free_response_areas
from spondyl.evaluation.mrmc_figures import Figures

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


@dataclass(frozen=True)
class Mark:
    """A finding that a reader marked.

    Parameters
    ----------
    reader, case, modality : str
        Who marked it where.
    lesion : str
        The lesion that it hits; empty if it hits none.
    score : float
        Higher is more suspicious.
    """

    reader: str
    case: str
    modality: str
    lesion: str
    score: float


def marked_figures(
    marks: Sequence[Mark],
    lesions: Mapping[str, Sequence[str]],
    read: Collection[tuple[str, str, str]],
    figure: FigureOfMerit = FigureOfMerit.WAFROC,
) -> Figures:
    """Give a figure of merit of marks for every reader and modality.

    Parameters
    ----------
    marks : sequence of Mark
        All marks.
    lesions : mapping of str to sequence of str
        Names of the lesions of each case; cases without lesions may be left out.
    read : collection of (str, str, str)
        Reader, case and modality of every reading, those without a mark included.
    figure : FigureOfMerit, optional
        Which pairs of lesions and false marks are compared.

    Returns
    -------
    Figures
        With covariances over cases.

    Raises
    ------
    InputError
        If not every reader read every case in every modality, a mark belongs to no reading, a score is missing, or
        there are no cases with and without lesions.
    """
    order = list(dict.fromkeys(read))
    readers, cases, modalities = (tuple(dict.fromkeys(r[i] for r in order)) for i in range(3))
    if len(order) != len(readers) * len(cases) * len(modalities):
        missing = len(readers) * len(cases) * len(modalities) - len(order)
        msg = (
            f"free response needs that every reader reads every case in every modality; {missing} readings are "
            "missing. Leave incomplete readers or cases out"
        )
        raise InputError(msg)
    cells = [(m, r) for m in modalities for r in readers]
    of_cell = _by_cell(marks, set(order))
    studies = [[_study(of_cell.get((m, r, c), []), c, lesions.get(c, ())) for c in cases] for m, r in cells]
    areas = free_response_areas(studies, figure=figure, names=[f"{m} / {r}" for m, r in cells])
    shape = len(modalities), len(readers)
    n_with = sum(1 for c in cases if lesions.get(c))
    return Figures(
        str(figure),
        modalities,
        readers,
        areas.areas.reshape(shape),
        np.asarray(areas.covariance).reshape(2 * shape),
        areas.method,
        n_with,
        len(cases) - n_with,
        flags=areas.flags,
    )


def _by_cell(marks: Sequence[Mark], read: Collection[tuple[str, str, str]]) -> dict[tuple[str, str, str], list[Mark]]:
    found: dict[tuple[str, str, str], list[Mark]] = {}
    for mark in marks:
        if (mark.reader, mark.case, mark.modality) not in read:
            msg = f"a mark of reader {mark.reader} belongs to no reading. List every reading, those without marks, too"
            raise InputError(msg)
        found.setdefault((mark.modality, mark.reader, mark.case), []).append(mark)
    return found


def _study(marks: Sequence[Mark], case: str, lesions: Sequence[str]) -> Study:
    number = {name: i for i, name in enumerate(lesions)}
    if any(m.lesion and m.lesion not in number for m in marks):
        msg = "a mark hits a lesion that its case does not have. Check the names of lesions"
        raise InputError(msg)
    hits = [number[m.lesion] if m.lesion else FALSE_POSITIVE for m in marks]
    return Study(case, [1.0] * len(lesions), [m.score for m in marks], hits)
