"""Masses in the canal beside vertebrae in which no malignant candidate was found.

Compression of the cord is what must not be missed, and the network that outlines lesions in bone passes over some of
the vertebrae it comes from. So the canal beside every other vertebra is looked at, too, as `spondyl.lesions.epidural`
does beside a candidate. A mass there is a candidate by itself, or makes the candidate of bone beside it suspicious.
Near the ends of the field of view, where coils see less and little is left to compare with, nothing is sought.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from spondyl.core import Sequence
from spondyl.lesions.candidates import EVEN_ODDS, Candidate, host_of
from spondyl.lesions.epidural import SUSPICIOUS, CanalOf, joined

if TYPE_CHECKING:
    from collections.abc import Sequence as Listed

    from numpy.typing import NDArray

    from spondyl.core import Case

    Mask = NDArray[np.bool_]

MIN_ALONE_MM3 = 500.0
"""Smallest mass that is a candidate by itself, in mm³. Chosen by us on 30 synthetic patients: as much is found beside 1
of 255 bodies that are well."""

LEAST_ROOM_MM = 35.0
"""Length of canal above and below a body without which no mass is sought beside it, in mm. Chosen by us: as far as a
mass reaches, and a vertebra to compare with."""


def with_canal_masses(candidates: Listed[Candidate], case: Case) -> list[Candidate]:
    """Add masses in the canal beside vertebrae without a malignant candidate.

    Parameters
    ----------
    candidates : sequence of Candidate
        Found, with their epidural parts.
    case : Case
        Localized.

    Returns
    -------
    list of Candidate
        Most suspicious first. A mass is at least as likely malignant as not, since discs and ligaments are darker than
        what counts as one; a candidate that was less suspicious takes that over from the mass beside its vertebra.
    """
    image = case.images.get(Sequence.T2)
    if image is None:
        return list(candidates)
    found, hosts = list(candidates), [host_of(c, case) for c in candidates]
    suspicious = {host for c, host in zip(candidates, hosts, strict=True) if c.malignant >= SUSPICIOUS}
    canal, shape = CanalOf(case, image), case.labels["structures"].grid.shape
    taken = np.zeros(shape, bool)
    for candidate in found:
        taken[candidate.box] |= candidate.where
    for vertebra in case.vertebrae:
        if vertebra.instance in suspicious or canal.room_mm(vertebra.instance) < LEAST_ROOM_MM:
            continue
        mass = canal.part(np.zeros(shape, bool), vertebra.instance) & ~taken
        if mass.sum() * case.labels["structures"].grid.voxel_volume_mm3 < MIN_ALONE_MM3:
            continue
        taken |= mass
        own = next((i for i, host in enumerate(hosts) if host == vertebra.instance), None)
        if own is None:
            found.append(_alone(mass, vertebra.instance))
        else:
            found[own] = _suspicious(joined(found[own], mass | _whole(found[own], shape)))
    return sorted(found, key=lambda c: -c.malignant)


def _alone(mass: Mask, instance: int) -> Candidate:
    box = ndimage.find_objects(mass.astype(np.uint8))[0]
    return Candidate(box, mass[box], EVEN_ODDS, 0.0, EVEN_ODDS, beside=instance)


def _whole(candidate: Candidate, shape: tuple[int, ...]) -> Mask:
    whole = np.zeros(shape, bool)
    whole[candidate.box] = candidate.where
    return whole


def _suspicious(candidate: Candidate) -> Candidate:
    """Give a candidate of bone with a mass beside it even odds to be malignant at least."""
    malignant = max(candidate.malignant, EVEN_ODDS)
    return candidate._replace(
        malignant=malignant, benign=min(candidate.benign, 1 - malignant), peak=max(candidate.peak, malignant)
    )
