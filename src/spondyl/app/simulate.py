"""Write a synthetic patient as a scanner and an archive would: DICOM, and beside it the truth that no scanner knows."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.core import Sequence
from spondyl.io.mr_writer import SyntheticStudy, write_series
from spondyl.io.nifti import write_nifti
from spondyl.io.store import OutputFolder
from spondyl.phantom.patient import simulate_patient, synthetic_uid

if TYPE_CHECKING:
    from pathlib import Path

    from spondyl.core import Image
    from spondyl.phantom.patient import SyntheticPatient
    from spondyl.phantom.protocol import Protocol

TRUTH_FILE = "truth/truth.json"
"""The file that marks a folder as a synthetic patient, which may be replaced."""

DICOM_FOLDER = "dicom"


def simulate_study(
    seed: int, out_folder: Path, *, lesions: str = "mixed", sequences: tuple[Sequence, ...] = ()
) -> Path:
    """Draw a patient and write the study and the truth.

    Parameters
    ----------
    seed : int
        The same seed gives the same patient.
    out_folder : Path
        New, empty, or an earlier synthetic patient, which is replaced.
    lesions : str, optional
        ``"mixed"``, ``"malignant"``, ``"benign"`` or ``"none"``.
    sequences : tuple of Sequence, optional
        Series to take; a usual lumbar study unless given.

    Returns
    -------
    Path
        The folder of the DICOM study.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    SettingsError
        If a sequence or kind of lesion is not known.
    """
    given: dict[str, Any] = {"sequences": sequences} if sequences else {}
    with OutputFolder(out_folder, mark=TRUTH_FILE) as folder:
        patient = simulate_patient(seed, lesions=lesions, **given)
        write_study(patient, folder / DICOM_FOLDER)
        write_truth(patient, folder / "truth")
    return out_folder / DICOM_FOLDER


def write_study(patient: SyntheticPatient, folder: Path) -> None:
    """Write the images of a synthetic patient as DICOM, one folder a series.

    Parameters
    ----------
    patient : SyntheticPatient
        The patient.
    folder : Path
        Made if missing.
    """
    study = SyntheticStudy(
        f"PATIENT-{patient.seed:05d}", patient.sex, patient.age_years, study_uid=synthetic_uid(patient.seed, "study")
    )
    for images, protocol in _series(patient):
        number = images[0].source.series_number or 0
        write_series(
            images,
            folder / f"series-{number:03d}",
            study=study,
            series_number=number,
            attributes={"SeriesDescription": protocol.description},
        )


def _series(patient: SyntheticPatient) -> list[tuple[list[Image], Protocol]]:
    """Group images as a scanner keeps them: the b-values of a diffusion scan in one series, all else apart."""
    series: list[tuple[list[Image], Protocol]] = []
    for image, protocol in zip(patient.images, patient.protocols, strict=True):
        if image.sequence is Sequence.DWI and series and series[-1][1] is protocol:
            series[-1][0].append(image)
        else:
            series.append(([image], protocol))
    return series


def write_truth(patient: SyntheticPatient, folder: Path) -> None:
    """Write what is true of a synthetic patient: tables as JSON, label maps as NIfTI.

    Parameters
    ----------
    patient : SyntheticPatient
        The patient.
    folder : Path
        Made if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reference = next((i for i in patient.images if i.sequence is Sequence.T2), patient.images[0])
    for name, labels in patient.labels_on(reference.grid).items():
        write_nifti(labels, folder / f"{name}.nii.gz")
    truth = {
        "notice": RESEARCH_USE_ONLY,
        "spondyl_version": __version__,
        "seed": patient.seed,
        "age_years": round(patient.age_years, 1),
        "sex": patient.sex,
        "labels_on": str(reference.sequence),
        "sequences": [str(image.sequence) for image in patient.images],
        "vertebrae": [asdict(vertebra) for vertebra in patient.anatomy.vertebrae],
        "lesions": [asdict(lesion) for lesion in patient.anatomy.lesions],
    }
    text = json.dumps(truth, indent=1, default=_jsonable)
    (folder / "truth.json").write_text(text + "\n", encoding="utf-8")


def _jsonable(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
