"""The look of tissues beside each other, as radiologists know it: each ratio with its published range."""

from __future__ import annotations

import pytest

from spondyl.core import Acquisition
from spondyl.phantom.relaxation import typical_parameters
from spondyl.phantom.signal import Pulse, adc_from_pair, tissue_signal
from spondyl.phantom.tissue import Tissue

FIELDS = pytest.mark.parametrize("field", [1.5, 3.0])


def signals(name, field, *, after_contrast=False):
    """Magnitude of every tissue in a usual protocol at a field strength."""
    timing = {
        "T1": (Pulse.SPIN_ECHO, {"echo_time_ms": 10, "repetition_time_ms": 560 if field < 2 else 670}),
        "T1 FLAIR": (
            Pulse.INVERSION_RECOVERY,
            {"echo_time_ms": 12, "repetition_time_ms": 2200, "inversion_time_ms": 850},
        ),
        "T2": (Pulse.SPIN_ECHO, {"echo_time_ms": 100, "repetition_time_ms": 3500, "echo_train_length": 20}),
        "STIR": (
            Pulse.INVERSION_RECOVERY,
            {
                "echo_time_ms": 50,
                "repetition_time_ms": 4500,
                "inversion_time_ms": 155 if field < 2 else 215,
                "echo_train_length": 12,
                "fat_suppressed": True,
            },
        ),
        "T1 FS": (Pulse.SPIN_ECHO, {"echo_time_ms": 10, "repetition_time_ms": 600, "fat_suppressed": True}),
    }
    pulse, times = timing[name]
    parameters = typical_parameters(field)
    if after_contrast:
        parameters = parameters.with_contrast()
    signal = tissue_signal(parameters, Acquisition(field_strength_t=field, **times), pulse=pulse)
    return abs(signal.water + signal.fat * signal.fat_phasor)


@FIELDS
def test_a_metastasis_is_no_brighter_than_disc_on_t1(field):
    s = signals("T1", field)
    assert s[Tissue.TUMOR_LYTIC] / s[Tissue.NUCLEUS] <= 1.05


@FIELDS
def test_a_metastasis_is_half_to_two_thirds_of_marrow_on_t1(field):
    s = signals("T1", field)
    assert 0.45 <= s[Tissue.TUMOR_LYTIC] / s[Tissue.MARROW] <= 0.70


@FIELDS
def test_a_metastasis_is_two_to_four_times_muscle_on_stir(field):
    s = signals("STIR", field)
    assert 2 <= s[Tissue.TUMOR_LYTIC] / s[Tissue.MUSCLE] <= 4


@FIELDS
def test_normal_marrow_is_about_as_bright_as_muscle_on_stir(field):
    s = signals("STIR", field)
    assert 0.6 <= s[Tissue.MARROW] / s[Tissue.MUSCLE] <= 1.2


@FIELDS
@pytest.mark.parametrize("sequence", ["T1", "T1 FLAIR"])
def test_marrow_is_brighter_than_disc_and_muscle_on_t1(field, sequence):
    s = signals(sequence, field)
    assert s[Tissue.MARROW] > 1.15 * max(s[Tissue.NUCLEUS], s[Tissue.MUSCLE])
    assert s[Tissue.RED_MARROW] > max(s[Tissue.NUCLEUS], s[Tissue.MUSCLE])


@FIELDS
def test_diffuse_infiltration_makes_marrow_darker_than_red_marrow_on_t1(field):
    s = signals("T1", field)
    assert s[Tissue.TUMOR_DIFFUSE] < 0.85 * s[Tissue.RED_MARROW]


@FIELDS
def test_a_typical_hemangioma_is_bright_on_t1_and_t2(field):
    assert signals("T1", field)[Tissue.HEMANGIOMA] > 1.1 * signals("T1", field)[Tissue.MARROW]
    assert signals("T2", field)[Tissue.HEMANGIOMA] > 1.5 * signals("T2", field)[Tissue.MARROW]


@FIELDS
def test_an_atypical_hemangioma_is_dark_on_t1_and_bright_on_t2_and_stir(field):
    assert signals("T1", field)[Tissue.HEMANGIOMA_ATYPICAL] < signals("T1", field)[Tissue.MARROW]
    for sequence in ("T2", "STIR"):
        assert signals(sequence, field)[Tissue.HEMANGIOMA_ATYPICAL] > 1.7 * signals(sequence, field)[Tissue.MARROW]


@FIELDS
@pytest.mark.parametrize("sequence", ["T1", "T1 FLAIR", "T2", "STIR"])
@pytest.mark.parametrize("tissue", [Tissue.TUMOR_SCLEROTIC, Tissue.SCLEROSIS])
def test_sclerosis_is_dark_everywhere(field, sequence, tissue):
    s = signals(sequence, field)
    assert s[tissue] < 0.5 * s[Tissue.MARROW]


@FIELDS
def test_edema_is_bright_on_stir_and_dark_on_t1(field):
    assert signals("STIR", field)[Tissue.EDEMA] > 2 * signals("STIR", field)[Tissue.MARROW]
    assert 0.55 < signals("T1", field)[Tissue.EDEMA] / signals("T1", field)[Tissue.MARROW] < 0.9


@FIELDS
def test_stir_nulls_fat_and_t1_shows_it_brightest(field):
    assert signals("STIR", field)[Tissue.SUBCUTANEOUS_FAT] < 0.5 * signals("STIR", field)[Tissue.MUSCLE]
    assert signals("T1", field).argmax() == Tissue.SUBCUTANEOUS_FAT


@FIELDS
def test_csf_is_bright_on_t2_and_dark_on_t1(field):
    s = signals("T2", field)
    assert 2.0 < s[Tissue.CSF] / s[Tissue.MARROW] < 4.5
    assert signals("T1", field)[Tissue.CSF] < 0.5 * signals("T1", field)[Tissue.MARROW]


@FIELDS
def test_a_metastasis_enhances_more_than_marrow(field):
    before, after = signals("T1 FS", field), signals("T1 FS", field, after_contrast=True)
    assert after[Tissue.TUMOR_LYTIC] > 1.4 * before[Tissue.TUMOR_LYTIC]
    assert after[Tissue.TUMOR_LYTIC] > 2.0 * after[Tissue.MARROW]
    assert after[Tissue.CSF] == pytest.approx(before[Tissue.CSF])


@FIELDS
def test_without_fat_suppression_an_enhancing_metastasis_hides_in_marrow(field):
    s = signals("T1", field, after_contrast=True)
    assert 0.8 < s[Tissue.TUMOR_LYTIC] / s[Tissue.MARROW] < 1.25


@FIELDS
def test_flowing_blood_is_dark_in_spin_echoes(field):
    s = signals("T2", field)
    assert s[Tissue.ARTERY] < 0.3 * s[Tissue.CSF]


def test_the_opposed_phase_drop_tells_marrow_from_metastasis():
    parameters = typical_parameters(3.0)
    acquisition = {"field_strength_t": 3.0, "repetition_time_ms": 150.0, "flip_angle_deg": 70.0}
    inside, opposed = (
        tissue_signal(parameters, Acquisition(echo_time_ms=te, **acquisition), pulse=Pulse.GRADIENT_ECHO)
        for te in (2.3, 1.15)
    )
    magnitude = [abs(s.water + s.fat * s.fat_phasor) for s in (inside, opposed)]
    drop = 1 - magnitude[1] / (magnitude[0] + 1e-9)
    # 20 % is the classic threshold: marrow above, marrow-replacing disease below (Zajick 2005, Radiology 237:590).
    assert drop[Tissue.MARROW] > 0.20
    assert drop[Tissue.RED_MARROW] > 0.20
    assert max(drop[Tissue.TUMOR_LYTIC], drop[Tissue.TUMOR_SOFT]) < 0.20


@FIELDS
def test_adc_rises_from_marrow_over_metastasis_to_edema(field):
    parameters = typical_parameters(field)
    low, high = (
        tissue_signal(
            parameters,
            Acquisition(echo_time_ms=70, repetition_time_ms=5000, b_value_s_mm2=b, fat_suppressed=True),
            pulse=Pulse.DIFFUSION_EPI,
        )
        for b in (50.0, 800.0)
    )
    adc = adc_from_pair(low.water + low.fat, high.water + high.fat, b_low_s_mm2=50, b_high_s_mm2=800)
    order = [Tissue.FATTY_MARROW, Tissue.MARROW, Tissue.TUMOR_LYTIC, Tissue.EDEMA, Tissue.TUMOR_NECROSIS]
    values = [float(adc[t]) for t in order]
    assert values == sorted(values)
    assert 700 <= adc[Tissue.TUMOR_LYTIC] <= 1200
    assert 200 <= adc[Tissue.FATTY_MARROW] <= adc[Tissue.MARROW] <= 600
    assert adc[Tissue.RED_MARROW] <= 700
