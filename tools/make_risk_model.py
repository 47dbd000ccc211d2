"""Make the small risk model that is shipped, from simulated patients alone.

python tools/make_risk_model.py [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

from spondyl.phantom.outcome import FEATURES, simulate_outcomes
from spondyl.risk.small import SHIPPED, SmallRiskModel, learn, write_model

N_PATIENTS, SEED = 2000, 20
CAUSES = ("new fracture or cord compression", "death")
LOGGED = ("malignant_lesions", "malignant_volume_ml", "epidural_lesions")


def shipped_model() -> SmallRiskModel:
    """The model, learned anew."""
    drawn = simulate_outcomes(N_PATIENTS, SEED)
    who = f"{N_PATIENTS} simulated patients: an illustration of how a risk is reported, not a prognosis"
    return learn(
        FEATURES, drawn.features, drawn.time_months, drawn.event, causes=CAUSES, logged=LOGGED, learned_from=who
    )


if __name__ == "__main__":
    default = Path(__file__).parents[1] / "src" / "spondyl" / "risk" / "shipped" / SHIPPED
    write_model(shipped_model(), Path(sys.argv[1]) if len(sys.argv) > 1 else default)
