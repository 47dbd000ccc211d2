"""A spine taken in two stations, from DICOM to results: named from end to end, and drawn on what the archive holds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom import dcmread

from spondyl.app.analyze import AnalysisOptions, analyze_study
from spondyl.core import Image, Sequence, Structure
from spondyl.io.mr_writer import SyntheticStudy, write_series
from spondyl.io.prior_result import read_prior_result
from spondyl.io.seg_reader import read_segmentation
from spondyl.io.study import read_study
from spondyl.phantom.patient import PatientSettings, simulate_patient
from spondyl.pipeline.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SEED = 1_000_023
"""A patient that training never saw: its seeds end below a million."""

SHARES = ((0.0, 0.62), (0.42, 1.0))
"""From where to where each station shows the rows of the image it is cut from."""

GAIN = 0.55
"""Brightness of the lower station of T2 over that of the upper one."""


def cut(image: Image) -> list[Image]:
    """Two stations of an image whose axes are slices, rows from the head down, and columns."""
    n = image.grid.shape[1]
    parts = []
    for number, (first, stop) in enumerate(SHARES):
        box = (slice(0, image.grid.shape[0]), slice(int(first * n), int(stop * n)), slice(0, image.grid.shape[2]))
        gain = GAIN if number and image.sequence is Sequence.T2 else 1.0
        parts.append(replace(image, array=np.round(image.array[box] * gain), grid=image.grid.part(box)))
    return parts


@pytest.fixture(scope="module")
def patient():
    settings = PatientSettings(fast=True)
    return simulate_patient(SEED, sequences=(Sequence.T1, Sequence.T2), lesions="malignant", settings=settings)


@pytest.fixture(scope="module")
def study(patient, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stations")
    about = SyntheticStudy("PATIENT-1", patient.sex, patient.age_years, date="20260101", study_uid="2.25.77")
    number = 0
    for image, protocol in zip(patient.images, patient.protocols, strict=True):
        assert image.grid.orientation == "LIP"
        for part in cut(image):
            number += 1
            said = {"SeriesDescription": protocol.description}
            write_series(part, folder / str(number), study=about, series_number=number, attributes=said)
    return folder


@pytest.fixture(scope="module")
def result(study, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("result") / "out"
    analyze_study(study, out, options=AnalysisOptions(settings=Settings(threads=1)))
    return out


def truth_of(patient, grid):
    labels = patient.labels_on(grid)
    bone = np.isin(labels["structures"].array, (Structure.BODY, Structure.CORTEX, Structure.S1))
    return {v.level: bone & (labels["vertebrae"].array == v.instance) for v in patient.anatomy.vertebrae}


def drawn(path, grid):
    masks = {info.label.split()[0]: mask for info, mask in read_segmentation(path, on=grid) if "body" in info.label}
    return {level: np.asarray(mask.array) > 0 for level, mask in masks.items()}


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_what_was_cut_is_whole_again(patient, study):
    case = read_study(study).case
    assert [len(i.source.stations) for i in case.images.values()] == [2, 2]
    for whole in patient.images:
        found = case.images[whole.sequence]
        assert found.grid.same_space(whole.grid)
        scale = np.median(whole.array[found.array > 0] / found.array[found.array > 0])
        away = np.abs(found.array * scale - whole.array)
        assert np.median(away) < 1.0
        assert away.max() < 0.02 * whole.array.max()


def test_all_vertebrae_are_named_and_outlined_across_the_seam(patient, result):
    told = json.loads((result / "result.json").read_text())
    (t1, t2) = (s for s in told["sequences"] if s["role"] == "primary")
    assert [[s["series_number"] for s in i["stations"]] for i in (t1, t2)] == [[1, 2], [3, 4]]
    assert {"stations_joined"} == {f["code"] for f in told["quality"] if f["code"].startswith("station")}
    image = next(i for i in patient.images if i.sequence == told["reference_sequence"])
    truth, found = truth_of(patient, image.grid), drawn(result / "dicom" / "vertebrae.dcm", image.grid)
    assert {"L1", "L2", "L3", "L4", "L5"} <= found.keys()
    assert np.mean([dice(found[level], truth[level]) for level in ("L1", "L2", "L3", "L4", "L5")]) > 0.8


def test_each_station_shows_its_own_part_over_its_own_slices(patient, study, result, dciodvfy):
    read = read_study(study)
    for sequence, image in read.case.images.items():
        for number, station in enumerate(image.source.stations, start=1):
            path = result / "dicom" / f"vertebrae_{sequence.lower()}_{number}.dcm"
            found, truth = drawn(path, station.grid), truth_of(patient, station.grid)
            for level, mask in found.items():
                if truth[level].sum() > 2000 and level.startswith("L"):
                    assert dice(mask, truth[level]) > 0.7, (path.name, level)
            headers = {str(d.SOPInstanceUID): d for d in read.sources[station.series_uid].datasets}
            made = dcmread(path)
            assert [s.SeriesInstanceUID for s in made.ReferencedSeriesSequence] == [station.series_uid]
            for frame in made.PerFrameFunctionalGroupsSequence:
                source = headers[frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
                shown = frame.PlanePositionSequence[0].ImagePositionPatient
                np.testing.assert_allclose(shown, source.ImagePositionPatient, atol=1e-3)
            assert dciodvfy(path) == []


def test_results_of_the_whole_point_at_the_slices_of_both_stations(study, result, dciodvfy):
    read = read_study(study)
    told = json.loads((result / "result.json").read_text())
    reference = read.case.images[Sequence(told["reference_sequence"])]
    stations = [s.series_uid for s in reference.source.stations]
    instances = {str(d.SOPInstanceUID) for uid in stations for d in read.sources[uid].datasets}
    for name in ("vertebrae", "saliency", "uncertainty"):
        made = dcmread(result / "dicom" / f"{name}.dcm")
        assert [s.SeriesInstanceUID for s in made.ReferencedSeriesSequence] == stations
        for frame in made.PerFrameFunctionalGroupsSequence:
            named = [s.ReferencedSOPInstanceUID for s in frame.DerivationImageSequence[0].SourceImageSequence]
            assert len(named) == 2
            assert set(named) <= instances
    report = dcmread(result / "dicom" / "findings.dcm")
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    assert {s.SeriesInstanceUID for s in evidence.ReferencedSeriesSequence} >= set(stations)
    named = _source_series(report)
    assert set(named) == set(stations)
    for path in (result / "dicom").glob("*.dcm"):
        assert dciodvfy(path) == []


def _source_series(item):
    """All series that segments of a report name as their source."""
    here = [str(item.UID)] if item.get("ValueType") == "UIDREF" and "Source" in _meaning(item) else []
    return here + [uid for child in item.get("ContentSequence", []) for uid in _source_series(child)]


def _meaning(item):
    return item.ConceptNameCodeSequence[0].CodeMeaning


def test_a_result_of_stations_serves_as_prior(study, result):
    prior = read_prior_result(result)
    shapes = (prior.case.labels["structures"].grid.shape, read_study(study).case.images[Sequence.T2].grid.shape)
    assert sorted(shapes[0]) == sorted(shapes[1])
