"""Write a synthetic cohort with omics: the tables that ``spondyl cohort embed`` takes, and beside them the truth."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.io.omics_cohort import write_cohort_folder
from spondyl.io.store import OutputFolder
from spondyl.phantom.biology import simulate_omics_cohort

if TYPE_CHECKING:
    from pathlib import Path

    from spondyl.phantom.biology import BiologySettings

TRUTH_FILE = "truth/settings.json"
"""The file that marks a folder as a synthetic cohort, which may be replaced."""


def simulate_cohort_files(n: int, seed: int, out_folder: Path, settings: BiologySettings) -> Path:
    """Draw a cohort and write it.

    Parameters
    ----------
    n : int
        Number of patients.
    seed : int
        The same seed gives the same patients.
    out_folder : Path
        New, empty, or an earlier synthetic cohort, which is replaced.
    settings : BiologySettings
        What it is like.

    Returns
    -------
    Path
        The folder, with ``patients.csv`` and a table for each modality; ``truth`` in it holds subtypes and programs,
        how probable each gap was, and the values that are missing.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    SettingsError
        If there is no patient.
    """
    cohort = simulate_omics_cohort(n, seed, settings)
    with OutputFolder(out_folder, mark=TRUTH_FILE) as folder:
        write_cohort_folder(folder, cohort.patients, cohort.modalities)
        truth = folder / "truth"
        truth.mkdir()
        tables = {"subtypes": cohort.truth, "missing_probability": cohort.missing_probability}
        tables |= {f"missing_{name}": table for name, table in cohort.hidden.items()}
        for name, table in tables.items():
            table.to_csv(truth / f"{name}.csv", index_label="patient_id")
        told = {"notice": RESEARCH_USE_ONLY, "spondyl_version": __version__, "patients": n, "seed": seed}
        text = json.dumps(told | {"settings": asdict(settings)}, indent=1)
        (folder / TRUTH_FILE).write_text(text + "\n", encoding="utf-8")
    return out_folder
