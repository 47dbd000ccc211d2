"""The series of one study: what is taken of which part of the spine, in which order, on one scanner."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from spondyl.core import Sequence, SettingsError
from spondyl.phantom.protocol import LUMBAR_SEQUENCES, Protocol, pick_field, sample_protocol
from spondyl.phantom.vendors import pick_vendor

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np


class RegionPlan(NamedTuple):
    """How a part of the spine is covered.

    Parameters
    ----------
    fov_mm : tuple of float
        Range of the side of a sagittal field of view.
    body_part : str
        BodyPartExamined (PS3.16 CID 4030).
    length_mm : float
        Length to be covered by overlapping fields; 0 where one is enough.
    """

    fov_mm: tuple[float, float]
    body_part: str
    length_mm: float = 0.0


REGION_PLANS = {
    "lumbar": RegionPlan((260, 320), "LSPINE"),
    "thoracolumbar": RegionPlan((320, 380), "TLSPINE"),
    "thoracic": RegionPlan((320, 400), "TSPINE"),
    "cervical": RegionPlan((220, 260), "CSPINE"),
    "whole": RegionPlan((380, 450), "SPINE", 830.0),
}
"""Usual fields of view; a whole spine is taken in two or three that overlap. Limits chosen by us inside those of the
protocols that `spondyl.phantom.protocol` names."""

OVERLAP_MM = 30.0
"""Least overlap of neighboring stations, in mm. Chosen by us."""


def spine_study(
    rng: np.random.Generator,
    *,
    region: str = "lumbar",
    sequences: Iterable[Sequence] = LUMBAR_SEQUENCES,
    axial: Iterable[Sequence] = (),
    vendor: str | None = None,
    field_strength_t: float | None = None,
    unseen: bool = False,
) -> list[Protocol]:
    """Draw the protocols of one study, all from one scanner.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    region : str, optional
        A key of `REGION_PLANS`.
    sequences : iterable of Sequence, optional
        Sagittal series in the order of acquisition; T1CE is moved behind the others.
    axial : iterable of Sequence, optional
        Axial series; a whole spine gets one stack in its middle.
    vendor : str, optional
        A vendor family; drawn where it is None.
    field_strength_t : float, optional
        Field strength in tesla; drawn where it is None.
    unseen : bool, optional
        Whether TE and TR are drawn beyond all that training draws from.

    Returns
    -------
    list of Protocol
        In the order of acquisition, with times; each station of a long study is a series.

    Raises
    ------
    SettingsError
        If the region, the vendor or a sequence is not known, or there is no sequence.
    """
    if region not in REGION_PLANS:
        msg = f"a region is one of {', '.join(REGION_PLANS)}; got {region!r}"
        raise SettingsError(msg)
    plan, vendor, field = REGION_PLANS[region], pick_vendor(rng, vendor), pick_field(rng, field_strength_t)
    wanted = [(s, "sagittal") for s in dict.fromkeys(sequences)] + [(s, "axial") for s in dict.fromkeys(axial)]
    if not wanted:
        msg = "a study needs at least one sequence, got none"
        raise SettingsError(msg)
    # STIR nulls whatever has fat's T1, gadolinium-enhanced tissue included: contrast comes last.
    wanted.sort(key=lambda pair: pair[0] is Sequence.T1CE)
    protocols = [sample_protocol(rng, s, vendor, field, plane=p, unseen=unseen) for s, p in wanted]
    return _as_one_study(rng, protocols, plan)


def _as_one_study(rng: np.random.Generator, protocols: list[Protocol], plan: RegionPlan) -> list[Protocol]:
    """Give all series one scanner, one sagittal field of view, the same stations and ascending times."""
    first = protocols[0].acquisition
    scanner = {name: getattr(first, name) for name in ("model", "software", "coil", "station")}
    fov = float(rng.uniform(*plan.fov_mm))
    n_stations = max(1, ceil((plan.length_mm - OVERLAP_MM) / (fov - OVERLAP_MM)))
    clock = float(rng.uniform(7.5, 17.0)) * 3600
    study = []
    for p in protocols:
        sagittal = p.plane == "sagittal"
        for station in range(n_stations if sagittal else 1):
            clock += float(rng.uniform(150, 330))
            study.append(
                replace(
                    p,
                    acquisition=replace(p.acquisition, acquired_s=round(clock, 1), **scanner),
                    fov_mm=fov if sagittal else p.fov_mm,
                    normalized=protocols[0].normalized,
                    body_part=plan.body_part,
                    station=station,
                    n_stations=n_stations if sagittal else 1,
                )
            )
    return study
