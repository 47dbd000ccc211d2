from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Sequence, SettingsError
from spondyl.phantom.protocol import LUMBAR_SEQUENCES, sample_protocol
from spondyl.phantom.signal import Pulse
from spondyl.phantom.vendors import CATALOG, VENDORS

TAKEN = (*LUMBAR_SEQUENCES, Sequence.DIXON_WATER)


def draw(sequence, n=60, **settings):
    return [sample_protocol(np.random.default_rng(s), sequence, **settings) for s in range(n)]


def test_stir_inverts_for_fat_and_longer_at_3_t():
    low = [p.acquisition.inversion_time_ms for p in draw(Sequence.STIR, field_strength_t=1.5)]
    high = [p.acquisition.inversion_time_ms for p in draw(Sequence.STIR, field_strength_t=3.0)]
    assert min(low) >= 140
    assert max(low) <= 175 < min(high)
    assert max(high) <= 240


def test_ge_takes_t1_as_flair_at_3_t_only():
    flair = draw(Sequence.T1, 10, vendor="ge", field_strength_t=3.0)
    assert all(p.pulse is Pulse.INVERSION_RECOVERY and p.acquisition.inversion_time_ms >= 700 for p in flair)
    assert all("FLAIR" in p.description for p in flair)
    assert all(not p.acquisition.fat_suppressed for p in flair)
    plain = draw(Sequence.T1, 10, vendor="ge", field_strength_t=1.5)
    assert all(p.pulse is Pulse.SPIN_ECHO and p.acquisition.inversion_time_ms is None for p in plain)


def test_gradient_echo_dixon_echoes_in_phase():
    for p in draw(Sequence.DIXON_WATER, field_strength_t=1.5):
        if p.pulse is Pulse.GRADIENT_ECHO:
            assert p.acquisition.echo_time_ms == pytest.approx(4.6)


def test_unseen_timing_lies_beyond_what_training_draws():
    # Training draws T1 at TE 7-20 and TR 400-850 ms, T2 at TE 75-130, STIR at TE 30-80 ms.
    for sequence, highest in ((Sequence.T1, 20), (Sequence.T2, 130), (Sequence.STIR, 80)):
        times = [p.acquisition.echo_time_ms for p in draw(sequence, 30, field_strength_t=1.5, unseen=True)]
        assert min(times) > highest


def test_a_weak_field_gives_less_signal_and_its_own_model():
    weak, strong = (np.mean([p.snr for p in draw(Sequence.T2, field_strength_t=f)]) for f in (0.55, 3.0))
    assert weak < 0.6 * strong
    (low,) = draw(Sequence.T2, 1, vendor="siemens", field_strength_t=0.55)
    assert low.acquisition.model in CATALOG["siemens"].models[0.55]


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("sequence", TAKEN)
def test_every_vendor_has_words_for_every_sequence(vendor, sequence):
    for field in (1.5, 3.0):
        p = sample_protocol(np.random.default_rng(1), sequence, vendor, field)
        assert p.description
        assert p.acquisition.model in CATALOG[vendor].models[field]
        attributes = p.dicom_attributes()
        assert attributes["Manufacturer"] == CATALOG[vendor].manufacturer
        assert ("ContrastBolusAgent" in attributes) == (sequence is Sequence.T1CE)


def test_a_diffusion_series_is_named_by_its_b_values():
    for p in draw(Sequence.DWI, 12):
        assert all(str(round(b)) in p.description for b in p.b_values_s_mm2) or p.acquisition.vendor in ("canon", "uih")
        assert "{" not in p.description


def test_slices_leave_a_gap_of_a_tenth_to_a_quarter():
    for p in draw(Sequence.T2):
        assert 0.07 < p.slice_gap_mm / p.slice_thickness_mm < 0.26


def test_the_same_seed_gives_the_same_protocol():
    assert draw(Sequence.T2, 3) == draw(Sequence.T2, 3)


def test_unknown_names_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(SettingsError, match="vendor must be one of"):
        sample_protocol(rng, Sequence.T1, "acme")
    with pytest.raises(SettingsError, match="no protocol for sequence"):
        sample_protocol(rng, Sequence.UNKNOWN)
