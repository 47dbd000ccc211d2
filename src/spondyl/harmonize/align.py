"""One scale for the images of a study: coil, reference tissues, reference acquisition; lesions measured on it.

This part of harmonization needs to know where the spine is, so it comes after localization. The images themselves stay
as acquired, and networks see them so; the aligned ones are maps on the reference grid.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spondyl import __version__
from spondyl.core import Case, Image, Measurement, QualityFlag, Sequence, SettingsError, StepRecord, Structure
from spondyl.core.at_once import at_once
from spondyl.harmonize.bias import foreground
from spondyl.harmonize.contrast import REFERENCE, SIGNAL_RANGE, ContrastMap, contrast_map, gains
from spondyl.harmonize.even import WITH_A_UNIT, even_images, looks_at, outlined_looks
from spondyl.harmonize.intensity import percentile_scale, robust_z_score
from spondyl.harmonize.prominence import measured_lesions, normal_marrow, study_saliency

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from spondyl.core import Acquisition
    from spondyl.harmonize.even import Even, FirstLook, Looks

    Volume = NDArray[np.float32]
    Mask = NDArray[np.bool_]

MAP_PREFIX = "aligned_"
"""Maps are named ``aligned_T1`` and so on."""

EARLY_VOXELS = 5_000_000
"""Voxels of the reference up to which images are looked at before the spine is outlined, each at 8 bytes a voxel while
the network that outlines it needs most memory. Chosen by us: whole spines have 7 to 20 million, lumbar spines 2."""

UNITS = 1000.0
"""Signal of fully relaxed CSF protons on the aligned scale."""


class Scale(StrEnum):
    """How intensities are scaled."""

    PHYSICS = "physics"
    TISSUE = "tissue"
    Z_SCORE = "z-score"
    PERCENTILE = "percentile"
    NONE = "none"


@dataclass(frozen=True)
class AlignSettings:
    """Settings of the step.

    Parameters
    ----------
    scale : str
        ``"physics"``: reference tissues set the scale, and signal equations bring each sequence to a reference
        acquisition. ``"tissue"``: reference tissues alone. ``"z-score"`` and ``"percentile"``: the histogram.
        ``"none"``: the step is left out.
    correct_bias : bool
        Whether the brightness of the receive coil and the noise floor of magnitudes are taken out.

    Raises
    ------
    SettingsError
        If the scale is not known.
    """

    scale: str = Scale.PHYSICS.value
    correct_bias: bool = True

    def __post_init__(self) -> None:
        if self.scale not in list(Scale):
            msg = f"align.scale is one of {', '.join(Scale)}, got {self.scale!r}"
            raise SettingsError(msg)


class Aligned(NamedTuple):
    """One sequence on the aligned scale.

    Parameters
    ----------
    values : ndarray of float32
        Signal; NaN outside the field of view.
    spread : ndarray of float32
        Relative standard deviation that bringing it to the reference acquisition adds, in bodies and lesions.
    factor : ndarray of float32 or None
        What the signal equations multiplied it with; None where they were not used.
    """

    values: Volume
    spread: Volume
    factor: Volume | None = None


def align(case: Case, settings: AlignSettings, *, ahead: FirstLook | None = None) -> Case:
    """Bring the images of a study to one scale and measure its lesions on it.

    Parameters
    ----------
    case : Case
        With a reference, the label map ``"structures"``, and lesions where some were found.
    settings : AlignSettings
        How.
    ahead : FirstLook, optional
        From `first_look`, of the same images.

    Returns
    -------
    Case
        With the maps ``"aligned_T1"`` and so on, on the reference grid, and the measurement ``saliency`` of each
        lesion. Where a scale could not be found for an image, it has no map and a flag says so.
    """
    if settings.scale == Scale.NONE:
        record = StepRecord("align", __version__, asdict(settings), methods="Images were not brought to one scale.")
        return case.with_(history=(*case.history, record))
    if not _outlined(case):
        text = "The spine was not outlined, so the images could not be brought to one scale."
        record = StepRecord("align", __version__, asdict(settings), methods=text)
        return case.with_(history=(*case.history, record)).flagged(QualityFlag("not_aligned", text))
    marrow = normal_marrow(case)
    even = even_images(case, correct_bias=settings.correct_bias, look=ahead, marrow=marrow)
    aligned, flags = scaled_images(case, even, settings.scale)
    maps = {f"{MAP_PREFIX}{s.value}": Image(np.nan_to_num(a.values), even.views.grid, s) for s, a in aligned.items()}
    case = case.with_(
        maps={**case.maps, **maps},
        lesions=measured_lesions(case, {s: (a.values, a.spread) for s, a in aligned.items()}, marrow),
    )
    record = StepRecord(
        "align",
        __version__,
        asdict(settings),
        methods=_methods(settings, aligned),
        measurements=(study_saliency(case), *_quality(case, even, aligned, settings.scale, marrow)),
    )
    return case.with_(history=(*case.history, record)).flagged(*flags)


def _outlined(case: Case) -> bool:
    structures = case.labels.get("structures")
    return structures is not None and bool(structures.array.any())


def early_looks(case: Case, settings: AlignSettings) -> Looks | None:
    """Do what of the step needs no outlines, and takes the longest.

    Parameters
    ----------
    case : Case
        With a reference image.
    settings : AlignSettings
        How.

    Returns
    -------
    Looks or None
        None where nothing of it is wanted, or the images are so large that memory matters more than time.
    """
    image = None if case.reference is None else case.images.get(case.reference)
    wanted = image is not None and settings.scale != Scale.NONE and settings.correct_bias
    if image is None or not wanted or np.prod(image.grid.shape) > EARLY_VOXELS:
        return None
    return looks_at(case, image.grid)


def first_look(case: Case, settings: AlignSettings, *, ahead: Looks | None = None) -> FirstLook | None:
    """Do what of the step needs no lesions.

    Parameters
    ----------
    case : Case
        With the label map ``"structures"``.
    settings : AlignSettings
        How.
    ahead : Looks, optional
        From `early_looks`, of the same images.

    Returns
    -------
    FirstLook or None
        None where nothing of it is wanted.
    """
    wanted = settings.scale != Scale.NONE and settings.correct_bias and _outlined(case)
    return outlined_looks(case, ahead) if wanted else None


def scaled_images(case: Case, even: Even, scale: str) -> tuple[dict[Sequence, Aligned], tuple[QualityFlag, ...]]:
    """Bring images to one scale.

    Parameters
    ----------
    case : Case
        Tells how each was taken.
    even : Even
        The images.
    scale : str
        As in `AlignSettings`.

    Returns
    -------
    aligned : dict of Sequence to Aligned
        Images whose scale was found.
    flags : tuple of QualityFlag
        What could not be done.
    """
    if scale in (Scale.PHYSICS, Scale.TISSUE):
        return _by_tissues(case, even, physics=scale == Scale.PHYSICS)
    return _by_histogram(even, Scale(scale))


def _by_tissues(case: Case, even: Even, *, physics: bool) -> tuple[dict[Sequence, Aligned], tuple[QualityFlag, ...]]:
    acquisitions = {s: case.images[s].acquisition for s in even.views.arrays}
    weighted = diffusion_weights(even.views.arrays, acquisitions)
    plain = {s: a / weighted[0] if s is Sequence.DWI and weighted else a for s, a in even.views.arrays.items()}
    timed = {s: a for s, a in acquisitions.items() if _can_be_scaled(s, a, diffusion_known=bool(weighted))}
    found = gains({s: _medians(plain[s], even.tissues) for s in timed}, timed)
    aligned = {s: Aligned(a, np.zeros_like(a)) for s, a in plain.items() if s in WITH_A_UNIT}
    signals = {s: plain[s] / np.float32(gain) for s, gain in found.items()}
    flags = [_not_aligned(s) for s in acquisitions if s not in signals and s not in WITH_A_UNIT]
    mapping = contrast_map({s: acquisitions[s] for s in signals}) if physics else None
    corrected = {} if mapping is None else _corrections(mapping, signals, _looked_at(case))
    for s, values in signals.items():
        scale = np.float32(UNITS) * (weighted[1 if s in corrected else 0] if s is Sequence.DWI and weighted else 1)
        if s in corrected:
            factor, spread = corrected[s]
            aligned[s] = Aligned(values * factor * scale, spread, factor)
            continue
        aligned[s] = Aligned(values * scale, np.zeros_like(values))
        if physics:
            text = f"{s.value}: the signal equations do not describe this series, which keeps its own contrast."
            flags.append(QualityFlag("own_contrast", text, severity="info", where=s.value))
    return aligned, tuple(flags)


def diffusion_weights(
    arrays: Mapping[Sequence, Volume], acquisitions: Mapping[Sequence, Acquisition]
) -> tuple[Volume, Volume] | None:
    """Give what diffusion leaves of the signal, voxel by voxel.

    Parameters
    ----------
    arrays : mapping of Sequence to ndarray of float32
        With ADC in 10⁻⁶ mm²/s.
    acquisitions : mapping of Sequence to Acquisition
        Tells the b-value of DWI.

    Returns
    -------
    own, reference : ndarray of float32
        Share of the signal left at the series' own b-value and at that of the reference acquisition; None without DWI,
        ADC or b-value.
    """
    own_b = acquisitions[Sequence.DWI].b_value_s_mm2 if Sequence.DWI in acquisitions else None
    if own_b is None or Sequence.ADC not in arrays:
        return None
    adc_mm2_s = 1e-6 * np.clip(np.nan_to_num(arrays[Sequence.ADC]), 0, None)
    reference_b = REFERENCE[Sequence.DWI].b_value_s_mm2 or 0.0
    own, reference = (np.exp(-np.float32(b) * adc_mm2_s).astype(np.float32) for b in (own_b, reference_b))
    return own, reference


def _can_be_scaled(s: Sequence, acquisition: Acquisition, *, diffusion_known: bool) -> bool:
    timed = bool(acquisition.echo_time_ms and acquisition.repetition_time_ms)
    return timed and s not in WITH_A_UNIT and (s is not Sequence.DWI or diffusion_known)


def _not_aligned(s: Sequence) -> QualityFlag:
    why = (
        "no tissue of known signal, or no echo and repetition time"
        if s is not Sequence.DWI
        else ("no tissue of known signal, no ADC on the same study, or no echo and repetition time")
    )
    return QualityFlag("not_aligned", f"{s.value}: {why}; left off the common scale.", where=s.value)


def _looked_at(case: Case) -> Mask:
    """Where the uncertainty of the signal is asked for: lesions and bodies."""
    lesions = case.labels.get("lesions")
    bodies = np.asarray(case.labels["structures"].array == Structure.BODY, bool)
    return bodies if lesions is None else bodies | (lesions.array > 0)


def _corrections(
    mapping: ContrastMap, signals: Mapping[Sequence, Volume], marked: Mask
) -> dict[Sequence, tuple[Volume, Volume]]:
    """Factor where tissue was seen on all telling sequences, 1 elsewhere; its spread where it is asked for."""
    floor = np.float32(SIGNAL_RANGE[0])
    seen = np.logical_or.reduce([signals[t] > floor for t in mapping.telling])
    for t in mapping.telling:
        seen &= np.isfinite(signals[t])
    places = mapping.places({t: signals[t][seen] for t in mapping.telling})
    asked = marked[seen]

    def correction(s: Sequence) -> tuple[Volume, Volume]:
        factor, spread = np.ones(seen.shape, np.float32), np.zeros(seen.shape, np.float32)
        factor[seen] = mapping.factor(places, s)
        spread[seen & marked] = mapping.spread(places[:, asked], s)
        return factor, spread

    described = [s for s in signals if s in mapping.ratios]
    return dict(zip(described, at_once(correction, described), strict=True))


def _medians(array: Volume, tissues: Mapping[str, Mask]) -> dict[str, float]:
    found = {name: array[mask & np.isfinite(array)] for name, mask in tissues.items()}
    return {name: float(np.median(values)) for name, values in found.items() if values.size}


def _by_histogram(even: Even, scale: Scale) -> tuple[dict[Sequence, Aligned], tuple[QualityFlag, ...]]:
    aligned, flags = {}, []
    function = robust_z_score if scale is Scale.Z_SCORE else percentile_scale
    for s, array in even.views.arrays.items():
        none = np.zeros_like(array)
        if s in WITH_A_UNIT:
            aligned[s] = Aligned(array, none)
            continue
        mask = foreground(np.nan_to_num(array), even.views.grid.spacing_mm) & np.isfinite(array)
        if not mask.any() or np.ptp(array[mask]) == 0:
            text = f"{s.value}: there is no tissue, or it has one value; left off the common scale."
            flags.append(QualityFlag("not_aligned", text, where=s.value))
            continue
        aligned[s] = Aligned(function(array, mask), none)
    return aligned, tuple(flags)


def _quality(
    case: Case, even: Even, aligned: Mapping[Sequence, Aligned], scale: str, marrow: Mask
) -> tuple[Measurement, ...]:
    """What was removed and what was found, for quality control."""
    spine = case.labels["structures"].array > 0
    found = [
        Measurement(f"{name}, reference tissue", float(mask.sum() * even.views.grid.voxel_volume_mm3), "mm3")
        for name, mask in even.tissues.items()
    ]
    for s, shading in even.fields.items():
        removed = 100 * float(np.std(np.log(shading[spine])))
        found.append(Measurement(f"{s.value} shading removed", removed, "%", method="SD along the spine"))
    for s, sd in even.noise.items():
        signal = even.views.arrays[s][marrow] * (even.fields[s][marrow] if s in even.fields else np.float32(1.0))
        signal = signal[np.isfinite(signal)]
        usual = float(np.median(signal)) if signal.size else 0.0
        if usual > 0:
            share = 100 * sd / usual
            found.append(Measurement(f"{s.value} noise", share, "%", method="SD in tissue over normal marrow"))
    for s, own in aligned.items():
        values = own.values[marrow & np.isfinite(own.values)]
        if not values.size:
            continue
        low, middle, high = (float(v) for v in np.quantile(values, [0.25, 0.5, 0.75]))
        unit, note = "1", "1000 is fully relaxed CSF" if scale in (Scale.PHYSICS, Scale.TISSUE) else f"by {scale}"
        if s in WITH_A_UNIT:
            unit, note = "um2/s", ""
        found.append(Measurement(f"{s.value} normal marrow", middle, unit, low, high, "median, quartiles", note))
        if own.factor is not None:
            seen = marrow & np.isfinite(own.values)
            middle, width = float(np.median(own.factor[seen])), 1.645 * float(np.median(own.spread[seen]))
            low, high = middle * float(np.exp(-width)), middle * float(np.exp(width))
            method = "median in normal marrow, 90 % interval"
            found.append(
                Measurement(f"{s.value} brought to reference acquisition, times", middle, "1", low, high, method)
            )
    return tuple(found)


def _methods(settings: AlignSettings, aligned: Mapping[Sequence, Aligned]) -> str:
    bias = (
        "The noise floor of magnitudes was removed (Gudbjartsson 1995). "
        "Shading by the receive coil was removed with N4 (Tustison 2010), then by how CSF, discs, muscle, fat and "
        "normal marrow change along the spine (Wells 1996). "
    )
    if not aligned:
        return "No image could be brought to one scale."
    names = ", ".join(s.value for s in aligned if s not in WITH_A_UNIT) or "No image"
    how = {
        Scale.PHYSICS: "by CSF, disc, muscle and fat, and to a reference acquisition at 1.5 T by the signal equations",
        Scale.TISSUE: "by CSF, disc, muscle and fat",
        Scale.Z_SCORE: "by a robust z-score of all tissue",
        Scale.PERCENTILE: "by percentiles 1 and 99 of all tissue",
    }[Scale(settings.scale)]
    return f"{bias if settings.correct_bias else ''}{names} were brought to one scale {how}."
