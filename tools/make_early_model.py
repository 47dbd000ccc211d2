"""Make the model of early disease that is shipped, from simulated patients alone.

python tools/make_early_model.py [FILE] [--patients N]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spondyl.core.marrow import SIGNS, SINCE_LAST
from spondyl.phantom.cohort import Purpose, cohort_seeds
from spondyl.phantom.surveillance import OVERT, SUBTHRESHOLD, simulate_surveillance
from spondyl.risk.early import EarlyDisease
from spondyl.risk.early_file import SHIPPED, EarlyModel, write_early

if TYPE_CHECKING:
    import pandas as pd

N_PATIENTS, FIRST = 240, 1

FACTS = ("overt_lesions", "overt_nearby", "irradiated", "days_since_last")
"""What an analysis knows beside the images."""

CHANGES = tuple(SINCE_LAST + name for name in SIGNS)


def shipped_model(n_patients: int = N_PATIENTS) -> EarlyModel:
    """The model, learned anew."""
    drawn = simulate_surveillance(n_patients, cohort_seeds(Purpose.VALIDATION, 1, first=FIRST)[0])
    return fitted_model(drawn.rows, n_patients)


def fitted_model(rows: pd.DataFrame, n_patients: int) -> EarlyModel:
    """The model of drawn patients: of vertebrae without an overt lesion, at visits with an earlier one."""
    rows = rows[(rows.earlier > 0) & (rows.state != OVERT)]
    columns = (*SIGNS, *CHANGES, *FACTS)
    place = {name: i for i, name in enumerate(columns)}
    modalities = {"facts": FACTS, "images of both studies, with facts": columns}
    estimator = EarlyDisease({name: [place[c] for c in own] for name, own in modalities.items()}, n_trees=60)
    estimator.fit(rows[list(columns)].to_numpy(float), rows.state == SUBTHRESHOLD, groups=rows.patient)
    who = f"{n_patients} simulated patients: an illustration of how change is weighed, not a diagnosis"
    return EarlyModel(columns, estimator, who)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    default = Path(__file__).parents[1] / "src" / "spondyl" / "risk" / "shipped" / SHIPPED
    parser.add_argument("file", type=Path, nargs="?", default=default)
    parser.add_argument("--patients", type=int, default=N_PATIENTS)
    given = parser.parse_args()
    write_early(shipped_model(given.patients), given.file)
