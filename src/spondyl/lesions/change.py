"""How a lesion has changed, number by number, against what a repeated measurement would change by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Measurement, Sequence, SettingsError, Structure
from spondyl.core.response import Change
from spondyl.lesions.measure import longest_diameter_mm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Case, Image, Lesion
    from spondyl.lesions.heights import Heights

    Floats = NDArray[np.float64]

NOT_ASSESSABLE = "not assessable"

MIN_SAMPLES = 8
"""Fewest voxels of a map from which a mean is told. Chosen by us."""

MIN_SOFT_MM3 = 500.0
"""Volume outside bone, in mm³, from which a lesion has a soft-tissue part. Chosen by us: less is the border of
outlines."""

ADC_MEAN, FAT_MEAN = "adc_mean", "fat_fraction_mean"
"""Names under which means are noted with a lesion."""

SOFT = (Structure.BACKGROUND, Structure.CANAL)
"""What a lesion grows into outside bone."""


@dataclass(frozen=True)
class ResponseSettings:
    """Beyond what a change counts, and what criteria ask for.

    Parameters
    ----------
    volume_percent, small_volume_percent : float
        Repeatability limit of the volume in percent, from 1 mL on and below. Chosen by us; how far volumes of unchanged
        lesions differ on synthetic patients scanned twice stands in the documentation.
    diameter_percent, diameter_mm : float
        Repeatability limit of the longest diameter: both must be passed. The steps of RECIST 1.1 for progression.
    epidural_mm3 : float
        Repeatability limit of the volume in the canal, in mm³. Chosen by us.
    adc_percent : float
        Repeatability limit of the mean ADC in percent. Chosen by us.
    fat_points : float
        Repeatability limit of the mean fat fraction in percentage points. Chosen by us.
    height_percent : float
        Repeatability limit of the height of a body in percent. Chosen by us: on synthetic bodies drawn twice on usual
        voxels, heights differ by less in nearly all.
    suspicious : float
        Probability of malignancy from which a candidate enters criteria.
    swelling_days : int
        Days after radiotherapy within which an increase may be swelling. Chosen by us: the first half year.

    Raises
    ------
    SettingsError
        If one is negative or out of range.
    """

    volume_percent: float = 25.0
    small_volume_percent: float = 50.0
    diameter_percent: float = 20.0
    diameter_mm: float = 5.0
    epidural_mm3: float = 100.0
    adc_percent: float = 15.0
    fat_points: float = 5.0
    height_percent: float = 10.0
    suspicious: float = 0.5
    swelling_days: int = 183

    def __post_init__(self) -> None:
        limits = [self.volume_percent, self.small_volume_percent, self.diameter_percent, self.diameter_mm]
        limits += [self.epidural_mm3, self.adc_percent, self.fat_points, float(self.swelling_days)]
        limits += [self.height_percent]
        if min(limits) < 0 or not 0 <= self.suspicious <= 1:
            msg = "response wants limits of 0 or more, and suspicious between 0 and 1"
            raise SettingsError(msg)


SMALL_MM3 = 1000.0
"""Volume, in mm³, below which volumes are less reliable."""


def changes(
    now: tuple[Case, Lesion] | None, then: tuple[Case, Lesion] | None, settings: ResponseSettings
) -> tuple[Change, ...]:
    """Compare a lesion at two studies.

    Parameters
    ----------
    now, then : tuple of (Case, Lesion) or None
        The current and the prior study with the lesion; None where it is not there.
    settings : ResponseSettings
        Limits.

    Returns
    -------
    tuple of Change
        Volume, longest diameter, epidural volume, and, where both studies have the maps, ADC and fat fraction.
    """
    volumes = tuple(0.0 if x is None else x[1].volume_mm3 for x in (then, now))
    diameters = tuple(0.0 if x is None else x[1].longest_diameter_mm for x in (then, now))
    canals = tuple(0.0 if x is None else part_mm3(*x, (Structure.CANAL, Structure.CORD)) for x in (then, now))
    percent = settings.volume_percent if max(volumes) >= SMALL_MM3 else settings.small_volume_percent
    found = [
        _relative("volume", "mm3", volumes, percent),
        _relative("longest diameter", "mm", diameters, settings.diameter_percent, least=settings.diameter_mm),
        _absolute("epidural volume", "mm3", canals, settings.epidural_mm3),
    ]
    adc = tuple(None if x is None else mean_adc(*x) for x in (then, now))
    fat = tuple(None if x is None else mean_fat_percent(*x) for x in (then, now))
    found.append(_relative("ADC", "10*-6.mm2/s", adc, settings.adc_percent))
    found.append(_absolute("fat fraction", "%", fat, settings.fat_points))
    return tuple(found)


def _relative(
    name: str, unit: str, values: tuple[float | None, ...], limit_percent: float, *, least: float = 0.0
) -> Change:
    prior, current = values
    limit = f"{limit_percent:g} %" + (f" and {least:g} {unit}" if least else "")
    if prior is None or current is None:
        return _missing(name, unit, values, limit)
    percent = 100 * (current / prior - 1) if prior > 0 else None
    far = prior == 0 or abs(percent or 0.0) >= limit_percent
    verdict = _direction(current - prior) if far and abs(current - prior) >= least else "unchanged"
    return Change(name, unit, prior, current, percent, limit, verdict if current != prior else "unchanged")


def _absolute(name: str, unit: str, values: tuple[float | None, ...], limit: float) -> Change:
    prior, current = values
    words = f"{limit:g} {unit}" if unit != "%" else f"{limit:g} percentage points"
    if prior is None or current is None:
        return _missing(name, unit, values, words)
    percent = 100 * (current / prior - 1) if prior > 0 else None
    verdict = _direction(current - prior) if abs(current - prior) >= limit else "unchanged"
    return Change(name, unit, prior, current, percent, words, verdict)


def _direction(difference: float) -> str:
    return "increased" if difference > 0 else "decreased"


def _missing(name: str, unit: str, values: tuple[float | None, ...], limit: str) -> Change:
    which = [word for word, value in zip(("prior", "current"), values, strict=True) if value is None]
    note = f"not measured in the {' and the '.join(which)} study"
    return Change(name, unit, values[0], values[1], None, limit, NOT_ASSESSABLE, note)


def part_mm3(case: Case, lesion: Lesion, structures: tuple[Structure, ...]) -> float:
    """Give the volume of a lesion in some structures.

    Parameters
    ----------
    case : Case
        The study.
    lesion : Lesion
        The lesion.
    structures : tuple of Structure
        Which ones.

    Returns
    -------
    float
        In mm³.
    """
    labels = case.labels["lesions"]
    inside = (labels.array == lesion.label) & np.isin(case.labels["structures"].array, structures)
    return float(inside.sum()) * labels.grid.voxel_volume_mm3


def soft_diameter_mm(case: Case, lesion: Lesion) -> float:
    """Give the longest diameter of the part of a lesion outside bone, in a slice of the reference series.

    Parameters
    ----------
    case : Case
        The study.
    lesion : Lesion
        The lesion.

    Returns
    -------
    float
        In mm; 0 where it has no such part worth the name.
    """
    labels = case.labels["lesions"]
    soft = (labels.array == lesion.label) & np.isin(case.labels["structures"].array, SOFT)
    voxels = np.argwhere(soft)
    large = len(voxels) * labels.grid.voxel_volume_mm3 >= MIN_SOFT_MM3
    return longest_diameter_mm(voxels, labels.grid) if large else 0.0


def height_change(now: Heights, then: Heights, limit_percent: float = 10.0) -> Change:
    """Compare the heights of one body at two studies, where it lost most.

    Parameters
    ----------
    now, then : Heights
        Of the current and the prior study.
    limit_percent : float, optional
        Repeatability limit of a height.

    Returns
    -------
    Change
        Of the third whose height fell most; against the same body, which no comparison with neighbors can match.
    """
    after, before = ((h.front_mm, h.middle_mm, h.back_mm) for h in (now, then))
    third = int(np.argmin([a / max(b, 1e-6) for a, b in zip(after, before, strict=True)]))
    change = _relative("body height", "mm", (before[third], after[third]), limit_percent)
    return replace(change, note=f"{('front', 'middle', 'back')[third]} third")


def with_means(case: Case) -> Case:
    """Note mean ADC and fat fraction with every lesion, so that a later study can be compared with the result alone.

    Parameters
    ----------
    case : Case
        With its lesions and images.

    Returns
    -------
    Case
        Its lesions with the measurements ``"adc_mean"`` and ``"fat_fraction_mean"`` where images show them.
    """
    lesions = []
    for lesion in case.lesions:
        means = (
            Measurement(ADC_MEAN, mean_adc(case, lesion), "10*-6.mm2/s", method="mean over the candidate"),
            Measurement(FAT_MEAN, mean_fat_percent(case, lesion), "%", method="fat over fat and water, summed"),
        )
        known = tuple(m for m in means if m.value is not None)
        lesions.append(replace(lesion, measurements=(*lesion.measurements, *known)))
    return case.with_(lesions=tuple(lesions))


def _noted(lesion: Lesion, name: str) -> float | None:
    """A mean that was noted with a lesion."""
    return next((m.value for m in lesion.measurements if m.name == name), None)


def mean_adc(case: Case, lesion: Lesion) -> float | None:
    """Give the mean ADC of a lesion.

    Parameters
    ----------
    case : Case
        The study.
    lesion : Lesion
        The lesion.

    Returns
    -------
    float or None
        In 10⁻⁶ mm²/s; what was noted with the lesion where there is no map; None without either.
    """
    image = case.images.get(Sequence.ADC) or case.maps.get("adc") or case.maps.get("ADC")
    if image is None:
        return _noted(lesion, ADC_MEAN)
    values = _values(image, case, lesion)
    if values is None or len(values[values > 0]) < MIN_SAMPLES:
        return None
    return float(values[values > 0].mean())


def mean_fat_percent(case: Case, lesion: Lesion) -> float | None:
    """Give the mean fat fraction of a lesion from water and fat images.

    Parameters
    ----------
    case : Case
        The study.
    lesion : Lesion
        The lesion.

    Returns
    -------
    float or None
        In percent; what was noted with the lesion where an image is missing; None without either.
    """
    parts = [case.images.get(s) for s in (Sequence.DIXON_FAT, Sequence.DIXON_WATER)]
    if parts[0] is None or parts[1] is None:
        return _noted(lesion, FAT_MEAN)
    fat, water = _values(parts[0], case, lesion), _values(parts[1], case, lesion)
    if fat is None or water is None or len(fat) != len(water):
        return None
    both = fat + water
    seen = both > 0
    return 100 * float(fat[seen].sum() / both[seen].sum()) if seen.sum() >= MIN_SAMPLES else None


def _values(image: Image, case: Case, lesion: Lesion) -> Floats | None:
    """Values of an image at the voxels of a lesion; None where it does not show most of them."""
    labels = case.labels["lesions"]
    voxels = np.argwhere(labels.array == lesion.label)
    index = np.rint(image.grid.lps_to_ijk(labels.grid.ijk_to_lps(voxels))).astype(int)
    inside = ((index >= 0) & (index < np.asarray(image.grid.shape))).all(axis=1)
    if inside.sum() < MIN_SAMPLES or inside.mean() < 0.5:
        return None
    values: Floats = image.array[tuple(index[inside].T)].astype(np.float64)
    return values
