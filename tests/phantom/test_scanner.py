from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spondyl.core import Sequence, Structure
from spondyl.phantom.bench import Artifacts
from spondyl.phantom.placement import cut, object_grid, place
from spondyl.phantom.protocol import sample_protocol
from spondyl.phantom.relaxation import N_TEXTURE_LEVELS, typical_parameters
from spondyl.phantom.scanner import scan
from spondyl.phantom.tissue import Tissue

CLEAN = Artifacts(ghosting=0, bulk_motion=0, fat_failure=0, distortion_mm=0, noise=0.2, shading=0)


def take(subject, sequence, *, settings=CLEAN, seed=0, tilt_deg=(0, 0, 0), **changes):
    """Images of one series of the patient of blocks, and the protocol."""
    protocol = sample_protocol(np.random.default_rng(seed), sequence, "siemens", 1.5)
    protocol = replace(
        protocol, fov_mm=120.0, n_slices=7, pixel_mm=1.2, saturation_band=0.0, **({"normalized": True} | changes)
    )
    grid = place(protocol, subject.grid, (0.0, -5.0, 0.0), tilt_deg=tilt_deg)
    own = object_grid(subject.grid, grid)
    cut_subject = replace(subject, cells=cut(subject.cells, subject.grid, own), grid=own)
    return scan(
        cut_subject, typical_parameters(1.5), protocol, grid, rng=np.random.default_rng(seed), settings=settings
    )


def mean_of(image, subject, tissue):
    """Mean signal of a tissue well inside it."""
    at = cut(subject.cells // N_TEXTURE_LEVELS, subject.grid, image.grid)
    middle = at[at.shape[0] // 2] == tissue
    return float(image.array[image.grid.shape[0] // 2][middle].mean())


def test_a_t2_image_shows_csf_over_marrow_over_muscle(subject):
    (image,) = take(subject, Sequence.T2)
    csf, marrow, muscle = (mean_of(image, subject, t) for t in (Tissue.CSF, Tissue.MARROW, Tissue.MUSCLE))
    assert csf > 1.8 * marrow > 1.8 * muscle


def test_the_image_lies_where_the_patient_lies(subject, blocks):
    (image,) = take(subject, Sequence.T2, tilt_deg=(0, 3, 4))
    structure = cut(blocks[2], blocks[0], image.grid)
    bright = image.array > 0.6 * np.percentile(image.array, 99)
    canal = structure == Structure.CANAL
    overlap = 2 * (bright & canal).sum() / (bright.sum() + canal.sum())
    assert overlap > 0.8


def test_stored_values_are_twelve_bit_whole_numbers(subject):
    (image,) = take(subject, Sequence.T1)
    np.testing.assert_array_equal(image.array, np.round(image.array))
    assert image.array.min() >= 0
    assert 400 < image.array.max() <= 4095


def test_stir_darkens_fat_below_what_t1_gives_it(subject):
    (t1,), (stir,) = take(subject, Sequence.T1), take(subject, Sequence.STIR)
    ratios = [mean_of(i, subject, Tissue.SUBCUTANEOUS_FAT) / mean_of(i, subject, Tissue.MUSCLE) for i in (t1, stir)]
    assert ratios[0] > 1.7
    assert ratios[1] < 0.7


def test_diffusion_brings_b_images_and_a_true_adc_map(subject):
    low, high, adc = take(subject, Sequence.DWI)
    assert [i.sequence for i in (low, high, adc)] == [Sequence.DWI, Sequence.DWI, Sequence.ADC]
    assert low.acquisition.b_value_s_mm2 < high.acquisition.b_value_s_mm2
    assert mean_of(adc, subject, Tissue.CSF) == pytest.approx(3000, rel=0.1)
    assert mean_of(adc, subject, Tissue.MARROW) == pytest.approx(550, rel=0.35)


def test_dixon_brings_four_images_that_fit_together(subject):
    images = {i.sequence: i for i in take(subject, Sequence.DIXON_WATER)}
    assert set(images) == {
        Sequence.DIXON_IN,
        Sequence.DIXON_OUT,
        Sequence.DIXON_WATER,
        Sequence.DIXON_FAT,
    }
    fat = images[Sequence.DIXON_FAT]
    assert mean_of(fat, subject, Tissue.SUBCUTANEOUS_FAT) > 8 * mean_of(fat, subject, Tissue.MUSCLE)
    whole = images[Sequence.DIXON_WATER].array + fat.array
    inside = images[Sequence.DIXON_IN].array
    bright = inside > 0.2 * inside.max()
    assert np.median(np.abs(whole[bright] / inside[bright] - 1)) < 0.02


def test_the_same_seed_gives_the_same_image_and_another_seed_other_noise(subject):
    one, again = (take(subject, Sequence.T1, settings=Artifacts())[0].array for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, take(subject, Sequence.T1, settings=Artifacts(), seed=8)[0].array)


def test_more_noise_makes_muscle_rougher(subject):
    rough = []
    for noise in (0.2, 12.0):
        (image,) = take(subject, Sequence.T1, settings=CLEAN._replace(noise=noise))
        patch = image.array[3, 10:30, :12]
        rough.append(patch.std() / patch.mean())
    assert rough[1] > 2 * rough[0]


def test_without_normalization_the_back_is_brighter_than_the_front(subject):
    even, shaded = (
        take(subject, Sequence.T1, settings=CLEAN._replace(shading=s), normalized=False)[0] for s in (0.0, 1.0)
    )
    at = cut(subject.cells // N_TEXTURE_LEVELS, subject.grid, even.grid)[3]
    muscle_columns = np.flatnonzero((at == Tissue.MUSCLE).all(axis=0))
    back, front = muscle_columns[-3:], muscle_columns[:3]
    gain = [i.array[3][:, back].mean() / i.array[3][:, front].mean() for i in (even, shaded)]
    assert gain[1] > 1.5 * gain[0]


@pytest.fixture(scope="module")
def with_screw(subject):
    cells = subject.cells.copy()
    cells[10:14, 56:62, 40:46] = Tissue.METAL * N_TEXTURE_LEVELS
    return replace(subject, cells=cells)


def test_metal_defeats_spectral_fat_suppression_and_not_stir(subject, with_screw):
    def gain(sequence):
        (image,), (clean,) = take(with_screw, sequence), take(subject, sequence)
        i, j, k = np.rint(image.grid.lps_to_ijk(subject.grid.ijk_to_lps([12, 59, 43]))).astype(int)
        reach = [round(n / s) for n, s in zip((14, 14), image.grid.spacing_mm[1:], strict=True)]
        around = np.s_[i, j - reach[0] : j + reach[0], k - reach[1] : k + reach[1]]
        scale = clean.array.mean() / image.array.mean()
        return np.percentile(image.array[around], 90) * scale / np.percentile(clean.array[around], 90)

    # Marrow fat comes back beside the screw where fat is saturated by frequency.
    assert gain(Sequence.T1CE) > 1.2 * gain(Sequence.STIR)


def test_metal_leaves_a_void(subject, with_screw):
    (image,), (clean,) = take(with_screw, Sequence.T1), take(subject, Sequence.T1)
    i, j, k = np.rint(image.grid.lps_to_ijk(subject.grid.ijk_to_lps([12, 59, 43]))).astype(int)
    assert image.array[i, j, k] / image.array.max() < 0.15 * clean.array[i, j, k] / clean.array.max()
