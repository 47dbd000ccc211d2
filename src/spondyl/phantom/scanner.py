"""From a patient's tissue map to the images of one series.

`scan` looks up the signal, encodes it, adds what the scanner adds, and stores it as 12-bit values.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.ndimage

from spondyl.core import Grid, Image, Sequence, Source
from spondyl.phantom import artifacts
from spondyl.phantom.bench import Artifacts, Bench, Subject, coarse_positions, set_up
from spondyl.phantom.encoding import encode, slices_of
from spondyl.phantom.relaxation import N_TEXTURE_LEVELS, TissueParameters
from spondyl.phantom.signal import Pulse, adc_from_pair, fat_phasor, tissue_signal
from spondyl.phantom.texture import smooth_field
from spondyl.phantom.tissue import N_TISSUES, Tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.arrays import Array
    from spondyl.phantom.protocol import Protocol

VOID_RADIUS_MM = {
    Pulse.SPIN_ECHO: 5.0,
    Pulse.INVERSION_RECOVERY: 6.0,
    Pulse.GRADIENT_ECHO: 12.0,
    Pulse.DIFFUSION_EPI: 18.0,
}
"""Reach of the signal void around titanium screws at 1.5 T, in mm; grows with the field. Chosen by us from the 1 to 5
cm seen around implants."""

METAL_SHIFT = 0.5
"""Largest displacement along readout around metal, relative to the void's reach. Chosen by us."""

FAT_FAILURE_REACH = 2.0
"""How far spectral fat suppression fails around metal, relative to the void's reach; STIR holds. Chosen by us."""

ADC_MASK_SNR = 3.0
"""An ADC map is set to 0 where the low-b image is below this many noise standard deviations. Chosen by us."""


def scan(
    subject: Subject,
    parameters: TissueParameters,
    protocol: Protocol,
    grid: Grid,
    *,
    rng: np.random.Generator,
    settings: Artifacts | None = None,
) -> list[Image]:
    """Take the images of one series.

    Parameters
    ----------
    subject : Subject
        The patient, cut along the slices of `grid`.
    parameters : TissueParameters
        The patient's tissues, contrast agent included where it was given.
    protocol : Protocol
        Settings of the series.
    grid : Grid
        Voxels to acquire; its axes run parallel to the subject's.
    rng : Generator
        Source of randomness.
    settings : Artifacts, optional
        How strongly imperfections show.

    Returns
    -------
    list of Image
        One image; for DWI one for each b-value and the ADC map; for Dixon in, opposed, water and fat.
    """
    bench = set_up(subject, protocol, grid, rng, settings or Artifacts())
    if protocol.sequence is Sequence.DWI:
        return _scan_diffusion(bench, parameters)
    if protocol.sequence is Sequence.DIXON_WATER:
        return _scan_dixon(bench, parameters)
    a = protocol.acquisition
    signal = tissue_signal(parameters.textured(), a, pulse=protocol.pulse, fat_residual=protocol.fat_residual)
    water, fat = _acquire(bench, signal.water, signal.fat)
    magnitude = _receive(bench, np.abs(water + fat))
    return [_image(bench, _store(magnitude, rng), protocol.sequence)]


def _acquire(bench: Bench, water: Array, fat: Array) -> tuple[Array, Array]:
    """Encode water and fat; fat is displaced by its chemical shift."""
    cells, residual = bench.subject.cells, bench.protocol.fat_residual
    tables = [np.ascontiguousarray(t, dtype=np.float32).reshape(N_TISSUES * N_TEXTURE_LEVELS) for t in (water, fat)]
    encoded_water = encode(slices_of(cells, tables[0], bench.slices), bench.rows, bench.columns)
    encoded_fat = encode(slices_of(cells, tables[1], bench.slices), bench.rows_fat, bench.columns_fat)
    failure = _fat_failure(bench)
    if failure is not None:
        encoded_fat = artifacts.unsuppressed_fat(encoded_fat, failure, residual=residual)
    return encoded_water, encoded_fat


def _fat_failure(bench: Bench) -> Array | None:
    """Share of the fat suppression that fails: by the shim, and around metal, whose field no pulse can follow."""
    metal = _metal_distance(bench)
    if metal is None or not bench.protocol.saturates_fat:
        return bench.failure
    near: Array = np.exp(-((metal / (FAT_FAILURE_REACH * _void_radius_mm(bench))) ** 2)).astype(np.float32)
    return near if bench.failure is None else np.maximum(near, bench.failure)


def _receive(bench: Bench, signal: Array, *, signed: bool = False) -> Array:
    """Add what the receiver adds: ghosts, distortion, metal voids, coil profile and noise."""
    signal = _metal(bench, signal * bench.factor)
    signal = _ghosted(bench, signal)
    if bench.protocol.pulse is Pulse.DIFFUSION_EPI and bench.settings.distortion_mm > 0:
        signal = artifacts.epi_distortion(signal, _distortion_px(bench), axis=bench.protocol.phase_axis)
    real, imaginary = _noise(bench)
    received: Array = signal * bench.sensitivity
    received = received + real if signed else artifacts.rician(received, real, imaginary)
    if bench.protocol.normalized:
        strength = bench.extras.setdefault("normalize", float(bench.rng.uniform(0.8, 1.0)))
        received = artifacts.normalize_profile(received, bench.sensitivity, strength=strength)
    return received


def _noise(bench: Bench) -> tuple[Array, Array]:
    """Give the noise of both channels.

    One volume of noise serves a whole series: shifted by a third of its size it is as good as independent, and drawing
    and interpolating noise would otherwise cost as much as the image itself.
    """
    if "noise" not in bench.extras:
        shape = (bench.grid.shape[0], bench.noise_rows.shape[1], bench.noise_columns.shape[1])
        white = bench.rng.standard_normal(shape, dtype=np.float32)
        sigma = np.float32(bench.settings.noise / bench.protocol.snr)
        bench.extras["noise"] = encode(white, bench.noise_rows * sigma, bench.noise_columns)
    noise: Array = bench.extras["noise"]
    shape = noise.shape
    shifts = [bench.rng.integers(n // 5, n - n // 5 + 1) for n in shape for _ in range(2)]
    return np.roll(noise, shifts[0::2], (0, 1, 2)), np.roll(noise, shifts[1::2], (0, 1, 2))


def _ghosted(bench: Bench, signal: Array) -> Array:
    s, axis = bench.settings, bench.protocol.phase_axis
    if "moving" not in bench.extras:
        lps, fill = coarse_positions(bench.grid)
        in_front = bench.subject.landmarks.front_distance_mm(lps)
        breathing = s.ghosting / (1 + np.exp(-np.clip((in_front - 20) / 8, -30, 30))) + s.bulk_motion
        bench.extras["moving"] = encode(breathing.astype(np.float32), fill[0], fill[1])
        bench.extras["ghost_px"] = int(bench.rng.integers(bench.grid.shape[axis] // 12, bench.grid.shape[axis] // 4))
    if s.ghosting + s.bulk_motion <= 0:
        return signal
    ghosted: Array = artifacts.ghosts(
        signal, bench.extras["moving"], axis=axis, shift_px=bench.extras["ghost_px"], strength=1.0
    )
    return ghosted


def _metal(bench: Bench, signal: Array) -> Array:
    """Void and displacement around metal, if the patient has any."""
    distance = _metal_distance(bench)
    if distance is None:
        return signal
    radius = _void_radius_mm(bench)
    voided: Array = artifacts.metal_void(signal, distance, radius_mm=radius)
    axis = 3 - bench.protocol.phase_axis
    if "metal shift" not in bench.extras:
        # The field falls off outward, so signal is displaced along readout, to one side before and behind the metal.
        shift_mm = METAL_SHIFT * radius * np.exp(-distance / radius) * np.sign(np.gradient(distance, axis=axis))
        smooth = scipy.ndimage.gaussian_filter(shift_mm, (0.5, 1.5, 1.5))
        bench.extras["metal shift"] = (smooth / bench.grid.spacing_mm[axis]).astype(np.float32)
    moved: Array = artifacts.epi_distortion(voided, bench.extras["metal shift"], axis=axis)
    return moved


def _void_radius_mm(bench: Bench) -> float:
    return float(VOID_RADIUS_MM[bench.protocol.pulse] * np.sqrt(bench.protocol.field_strength_t / 1.5))


def _metal_distance(bench: Bench) -> Array | None:
    """Distance from metal on the image's pixels in mm, or None where there is none."""
    if "metal" not in bench.extras:
        cells = bench.subject.cells
        low, high = Tissue.METAL * N_TEXTURE_LEVELS, (Tissue.METAL + 1) * N_TEXTURE_LEVELS
        metal = (cells >= low) & (cells < high)
        bench.extras["metal"] = _distance_mm(bench, metal) if metal.any() else None
    kept: Array | None = bench.extras["metal"]
    return kept


def _distance_mm(bench: Bench, mask: Array) -> NDArray[np.float32]:
    """Distance from a mask of the subject, on the image's pixels, in mm."""
    distance = scipy.ndimage.distance_transform_edt(~mask, sampling=bench.subject.grid.spacing_mm)
    corner = bench.subject.grid.lps_to_ijk(bench.grid.ijk_to_lps([0, 0, 0]))
    ratio = np.asarray(bench.grid.spacing_mm) / np.asarray(bench.subject.grid.spacing_mm)
    at = np.meshgrid(
        *(c + r * np.arange(n) for c, r, n in zip(corner, ratio, bench.grid.shape, strict=True)), indexing="ij"
    )
    on_pixels: Array = scipy.ndimage.map_coordinates(distance, np.stack(at), order=1, mode="nearest").astype(np.float32)
    return on_pixels


def _distortion_px(bench: Bench) -> NDArray[np.float32]:
    """Displacement of the echo-planar images in pixels: shim rest, and the field of gas-filled bowel and lung."""
    if "distortion" in bench.extras:
        kept: Array = bench.extras["distortion"]
        return kept
    gas = np.zeros(N_TISSUES * N_TEXTURE_LEVELS, np.float32)
    for tissue in (Tissue.BOWEL_GAS, Tissue.LUNG):
        gas[tissue * N_TEXTURE_LEVELS : (tissue + 1) * N_TEXTURE_LEVELS] = 1.0
    shape = bench.grid.shape
    field = encode(slices_of(bench.subject.cells, gas, bench.slices), bench.rows, bench.columns)
    sigma = [0.7, *(14.0 / s for s in bench.grid.spacing_mm[1:])]
    field = scipy.ndimage.gaussian_filter(field, sigma)
    field = field / max(float(field.max()), 0.2) + smooth_field(bench.rng, shape, cells=(2, 4, 4), spread=0.3)
    shift_mm = np.clip(field, -1, 1) * bench.settings.distortion_mm * float(bench.rng.choice([-1, 1]))
    shift_px: Array = (shift_mm / bench.grid.spacing_mm[bench.protocol.phase_axis]).astype(np.float32)
    bench.extras["distortion"] = shift_px
    return shift_px


def _scan_diffusion(bench: Bench, parameters: TissueParameters) -> list[Image]:
    p = bench.protocol
    textured = parameters.textured()
    images, magnitudes = [], []
    for b in p.b_values_s_mm2:
        acquisition = replace(p.acquisition, b_value_s_mm2=b)
        signal = tissue_signal(textured, acquisition, pulse=p.pulse, fat_residual=p.fat_residual)
        water, fat = _acquire(bench, signal.water, signal.fat)
        magnitudes.append(_receive(bench, np.abs(water + fat)))
    white, top = _window(magnitudes[0], bench.rng)
    for b, magnitude in zip(p.b_values_s_mm2, magnitudes, strict=True):
        stored = artifacts.stored_values(magnitude, white=white, top=top)
        images.append(_image(bench, stored, Sequence.DWI, b_value_s_mm2=b))
    low, high = p.b_values_s_mm2[0], p.b_values_s_mm2[-1]
    adc = adc_from_pair(magnitudes[0], magnitudes[-1], b_low_s_mm2=low, b_high_s_mm2=high)
    noise = bench.settings.noise / p.snr * (1 / bench.sensitivity if p.normalized else 1.0)
    adc = np.where(magnitudes[0] > ADC_MASK_SNR * noise, np.minimum(np.round(adc), artifacts.MAX_STORED), 0)
    return [*images, _image(bench, adc, Sequence.ADC)]


def _scan_dixon(bench: Bench, parameters: TissueParameters) -> list[Image]:
    """In and opposed phase, then water and fat from them; the scanner's phase map tells which outweighs the other."""
    p, a = bench.protocol, bench.protocol.acquisition
    textured = parameters.textured()
    te = float(a.echo_time_ms or 4.6)
    gradient = p.pulse is Pulse.GRADIENT_ECHO
    opposed_te = te / 2 if gradient else 1.15 * 3.0 / p.field_strength_t
    received, times = [], []
    for opposed in (False, True):
        echo = te / 2 if opposed and gradient else te
        signal = tissue_signal(textured, replace(a, echo_time_ms=echo), pulse=p.pulse)
        water, fat = _acquire(bench, signal.water, signal.fat)
        phasor = fat_phasor(opposed_te, p.field_strength_t) if opposed else signal.fat_phasor
        received.append(_receive(bench, water + phasor.real * fat, signed=True))
        times.append(round(echo, 2))
    inside, opposed_phase = received
    white, top = _window(np.abs(inside), bench.rng)
    parts = {
        Sequence.DIXON_IN: (np.abs(inside), times[0]),
        Sequence.DIXON_OUT: (np.abs(opposed_phase), times[1]),
        Sequence.DIXON_WATER: (np.abs(inside + opposed_phase) / 2, times[0]),
        Sequence.DIXON_FAT: (np.abs(inside - opposed_phase) / 2, times[0]),
    }
    return [
        _image(bench, artifacts.stored_values(m, white=white, top=top), s, echo_time_ms=t)
        for s, (m, t) in parts.items()
    ]


def _window(magnitude: Array, rng: np.random.Generator) -> tuple[float, float]:
    return float(np.percentile(magnitude[:, ::3, ::3], 99.7)), float(rng.uniform(500, 3200))


def _store(magnitude: Array, rng: np.random.Generator) -> Array:
    white, top = _window(magnitude, rng)
    stored: Array = artifacts.stored_values(magnitude, white=white, top=top)
    return stored


def _image(bench: Bench, array: Array, sequence: Sequence, **changes: Any) -> Image:
    acquisition = replace(bench.protocol.acquisition, **changes) if changes else bench.protocol.acquisition
    source = Source(description=bench.protocol.description, evidence=("simulated",))
    return Image(array.astype(np.float32), bench.grid, sequence, acquisition=acquisition, source=source)
