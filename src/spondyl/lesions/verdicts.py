"""What is told of vertebrae by all that looked at them, and those judged diseased of which hardly anything was found.

The network that outlines lesions and what stands out from the patient's own marrow need normal marrow beside disease.
The context transformer does not: it holds vertebrae against discs, each other, and all sequences, and never sees what
was outlined. So the two are pooled, and where they are sure of disease on several series and hardly anything was
found, the vertebra is looked at once more: what is malignant takes the whole body, what is benign the largest part that
the network deems least unlikely.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cc3d
import numpy as np
from scipy import ndimage

from spondyl.core import Measurement, Structure
from spondyl.lesions.candidates import Candidate
from spondyl.models.confidence import softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Case, Lesion, Vertebra

TAKEN_SHARE = 0.05
"""Share of a body in candidates from which the disease of the vertebra was found. Chosen on synthetic validation
patients."""

LEAST_PROBABILITY = 0.1
"""Probability of any lesion from which a voxel of a vertebra judged benign belongs to the lesion. Chosen on synthetic
validation patients."""

LEAST_MM3 = 100.0
"""Smallest candidate, and smallest part of one that tells of a vertebra. Chosen by us."""

USUAL_ODDS = -3.0
"""Log-odds of malignancy that stand beside those of the other vertebrae, for columns of few. Chosen by us."""

LEAST_TOLD = 0.01
"""No opinion is taken for surer than this that a class is out of the question. Chosen by us."""


NO_BORDERS = Measurement(
    "outlined_volume", None, "mm3", note="no border of this lesion was found; its vertebra was judged diseased"
)
"""What a candidate carries that stands for its vertebra."""


def has_borders(lesion: Lesion) -> bool:
    """Say whether the outline of a candidate is its own.

    Parameters
    ----------
    lesion : Lesion
        Of any study.

    Returns
    -------
    bool
        False where a vertebra judged diseased stands for it.
    """
    return all(m.name != NO_BORDERS.name or m.value is not None for m in lesion.measurements)


def outlined(case: Case, *, whole: bool) -> NDArray[np.float64]:
    """Say what the network that outlines lesions holds each vertebra for.

    Parameters
    ----------
    case : Case
        With lesions sought.
    whole : bool
        Whether the mean over its body tells of a vertebra without candidate; else that is normal.

    Returns
    -------
    ndarray of float, shape (n_vertebrae, 3)
        Probabilities that it is normal, benign or malignant: those of the surest candidate in it, if there is one.
    """
    vertebrae, lesions = case.labels["vertebrae"].array, case.labels["lesions"].array
    structures, table = case.labels["structures"], {lesion.label: lesion for lesion in case.lesions}
    boxes, told = ndimage.find_objects(vertebrae), np.tile((1.0, 0.0, 0.0), (len(case.vertebrae), 1))
    for row, vertebra in zip(told, case.vertebrae, strict=True):
        box = boxes[vertebra.instance - 1] if vertebra.instance <= len(boxes) else None
        if box is None:
            continue
        own = vertebrae[box] == vertebra.instance
        volumes = np.bincount(lesions[box][own]) * structures.grid.voxel_volume_mm3
        held = [table[n] for n in range(1, len(volumes)) if volumes[n] >= LEAST_MM3 and n in table]
        if held:
            surest = max(held, key=lambda x: 1 - x.probabilities["normal"]).probabilities
            row[:] = [surest[name] for name in ("normal", "benign", "malignant")]
            continue
        body = own & np.isin(structures.array[box], (Structure.BODY, Structure.S1))
        if whole and body.any():
            row[1:] = [float(case.maps[name].array[box][body].mean()) for name in ("benign", "malignant")]
            row[0] = max(0.0, 1 - row[1:].sum())
    return told


def pooled(
    judged: NDArray[np.float64], told: NDArray[np.float64], *, share: float, company: float
) -> NDArray[np.float64]:
    """Pool two opinions of the vertebrae of a column, and let each know of the others.

    Parameters
    ----------
    judged, told : ndarray of float, shape (n, 3)
        Probabilities of each that a vertebra is normal, benign or malignant.
    share : float
        Share of the second, from 0 to 1.
    company : float
        What the mean log-odds of malignancy of the other vertebrae add to those of one.

    Returns
    -------
    ndarray of float, shape (n, 3)
        Probabilities, to be scaled to how frequent disease is.

    References
    ----------
    Genest and Zidek 1986, Combining probability distributions, doi 10.1214/ss/1177013825: the logarithmic pool.
    """
    logs = [np.log(np.maximum(p, LEAST_TOLD)) for p in (judged, told)]
    pool = (1 - share) * logs[0] + share * logs[1]
    malignant = np.maximum(softmax(pool)[:, 2], LEAST_TOLD)
    odds = np.log(malignant / np.maximum(1 - malignant, LEAST_TOLD))
    pool[:, 2] += company * (odds.sum() - odds + USUAL_ODDS) / len(odds)
    return softmax(pool)


def overlooked(case: Case, least: float) -> list[tuple[Vertebra, Candidate]]:
    """Find candidates in vertebrae that are judged diseased and hold none.

    Parameters
    ----------
    case : Case
        With lesions sought and vertebrae judged.
    least : float
        Probability of any lesion in a vertebra from which it is looked at once more.

    Returns
    -------
    list of tuple
        Such vertebrae with the candidate in each, which has the probabilities of the vertebra.
    """
    vertebrae, lesions = case.labels["vertebrae"].array, case.labels["lesions"].array
    structures = case.labels["structures"]
    any_lesion = case.maps["malignant"].array + case.maps["benign"].array
    boxes, found = ndimage.find_objects(vertebrae), []
    for vertebra in case.vertebrae:
        malignant, benign = (vertebra.probabilities.get(name, 0.0) for name in ("malignant", "benign"))
        box = boxes[vertebra.instance - 1] if vertebra.instance <= len(boxes) else None
        if malignant + benign < least or box is None:
            continue
        own, taken = vertebrae[box] == vertebra.instance, lesions[box] > 0
        body = own & np.isin(structures.array[box], (Structure.BODY, Structure.S1))
        if not body.any() or (taken & body).sum() > TAKEN_SHARE * body.sum():
            continue
        where = (body if malignant >= benign else _largest(own & (any_lesion[box] > LEAST_PROBABILITY))) & ~taken
        if where.sum() * structures.grid.voxel_volume_mm3 >= LEAST_MM3:
            found.append((vertebra, Candidate(box, where, malignant, benign, malignant + benign)))
    return found


def _largest(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part."""
    largest: NDArray[np.bool_] = cc3d.largest_k(where, k=1, connectivity=18) > 0
    return largest
