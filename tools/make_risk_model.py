"""Make the small risk model that is shipped, from simulated patients alone: imaging, clinical form and omics.

python tools/make_risk_model.py [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from spondyl.phantom.outcome import CLINICAL, FEATURES, OMICS, simulate_outcomes
from spondyl.risk.small import SHIPPED, SmallRiskModel, join, learn, write_model

N_PATIENTS, SEED = 2000, 20
CAUSES = ("new fracture or cord compression", "death")
LOGGED = ("malignant_lesions", "malignant_volume_ml", "epidural_lesions", "mutations_per_mb")


def shipped_model() -> SmallRiskModel:
    """The model, learned anew."""
    drawn = simulate_outcomes(N_PATIENTS, SEED)
    who = f"{N_PATIENTS} simulated patients: an illustration of how a risk is reported, not a prognosis"
    n = len(CLINICAL)
    names = {"imaging": FEATURES, "clinical form": CLINICAL, "omics": OMICS}
    values = {"imaging": drawn.features, "clinical form": drawn.bedside[:, :n], "omics": drawn.bedside[:, n:]}
    time, event, parts = drawn.time_months, drawn.event, {}
    for modality, own in values.items():
        there = np.isfinite(own).any(axis=1)
        logged = [name for name in LOGGED if name in names[modality]]
        parts[modality] = learn(
            names[modality], own[there], time[there], event[there], causes=CAUSES, logged=logged, learned_from=who
        )
    return join(parts, values, time, event)


if __name__ == "__main__":
    default = Path(__file__).parents[1] / "src" / "spondyl" / "risk" / "shipped" / SHIPPED
    write_model(shipped_model(), Path(sys.argv[1]) if len(sys.argv) > 1 else default)
