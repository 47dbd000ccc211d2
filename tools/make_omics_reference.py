"""Make the reference cohort that ``spondyl analyze --omics`` places a patient among: synthetic patients alone.

    python tools/make_omics_reference.py

Writes ``reference.npz`` and ``reference.json`` into ``src/spondyl/socce/data``. The same version gives the same files.
"""

from __future__ import annotations

import json
from pathlib import Path

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.phantom.biology import CONFOUNDERS, simulate_omics_cohort
from spondyl.phantom.cohort import SEED_RANGES, Purpose
from spondyl.socce.cards import token_cards
from spondyl.socce.encoder import SOCCE
from spondyl.socce.graph import ConfounderGraph

N_PATIENTS = 600


def main() -> None:
    """Draw, learn, write."""
    folder = Path(__file__).parents[1] / "src" / "spondyl" / "socce" / "data"
    folder.mkdir(exist_ok=True)
    seed = SEED_RANGES[Purpose.TRAINING][0]
    cohort = simulate_omics_cohort(N_PATIENTS, seed)
    model = SOCCE(ConfounderGraph.usual(CONFOUNDERS)).fit(cohort.modalities, cohort.patients)
    model.save(folder / "reference.npz")
    placed = model.embed(cohort.modalities, cohort.patients)
    cards = token_cards(model, placed, cohort.modalities, cohort.patients, spread="primary")
    card = {
        "name": "synthetic reference 1",
        "data": f"{N_PATIENTS} synthetic patients, seed {seed}",
        "n_patients": N_PATIENTS,
        "spondyl_version": __version__,
        "notice": RESEARCH_USE_ONLY,
        "tokens": {
            c.token: {
                "share": round(c.share, 3),
                "marks": [f"{m.feature} {m.difference_sd:+.1f} SD" for m in c.marks if m.modality != "pathology"],
                "spread": {name: round(share, 3) for name, share in c.spread},
            }
            for c in cards
        },
    }
    (folder / "reference.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(f"{len(cards)} tokens; {', '.join(f'{f.name} {f.stat().st_size // 1024} KiB' for f in folder.iterdir())}")


if __name__ == "__main__":
    main()
