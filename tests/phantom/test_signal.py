from __future__ import annotations

import importlib.util
from dataclasses import fields

import numpy as np
import pytest

from spondyl.core import Acquisition
from spondyl.phantom import signal
from spondyl.phantom.relaxation import typical_parameters
from spondyl.phantom.signal import Pulse

PULSES = {
    Pulse.SPIN_ECHO: Acquisition(echo_time_ms=90, repetition_time_ms=3500, echo_train_length=16),
    Pulse.INVERSION_RECOVERY: Acquisition(
        echo_time_ms=50, repetition_time_ms=4500, inversion_time_ms=160, fat_suppressed=True
    ),
    Pulse.GRADIENT_ECHO: Acquisition(echo_time_ms=2.3, repetition_time_ms=7, flip_angle_deg=9),
    Pulse.DIFFUSION_EPI: Acquisition(echo_time_ms=70, repetition_time_ms=5000, b_value_s_mm2=800, fat_suppressed=True),
}


@pytest.mark.parametrize("pulse", list(Pulse))
def test_signals_are_finite_in_every_pulse_sequence(pulse):
    s = signal.tissue_signal(typical_parameters().textured(), PULSES[pulse], pulse=pulse)
    assert np.isfinite(s.water).all()
    assert np.isfinite(s.fat).all()
    assert s.water.dtype == np.float32


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.parametrize("pulse", list(Pulse))
def test_torch_gives_what_numpy_gives(pulse):
    torch = pytest.importorskip("torch")
    numpy_parameters = typical_parameters().with_contrast()
    changed = {
        f.name: torch.from_numpy(np.array(getattr(numpy_parameters, f.name)))
        for f in fields(numpy_parameters)
        if isinstance(getattr(numpy_parameters, f.name), np.ndarray)
    }
    torch_parameters = numpy_parameters.with_(**changed)
    want = signal.tissue_signal(numpy_parameters.textured(), PULSES[pulse], pulse=pulse)
    got = signal.tissue_signal(torch_parameters.textured(), PULSES[pulse], pulse=pulse)
    np.testing.assert_allclose(got.water.numpy(), want.water, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(got.fat.numpy(), want.fat, rtol=2e-5, atol=1e-7)
