"""Vertebrae of a table are found in their studies, cut out once, and given their truth."""

from __future__ import annotations

import pytest

from spondyl.app import train_classes
from spondyl.app.train_classes import crops_of_studies
from spondyl.core import InputError
from spondyl.pipeline.settings import Settings

pytest.importorskip("monai")

HEAD = "patient,study,level,class,subtype\n"


@pytest.fixture
def studies(monkeypatch, tmp_path):
    """Studies whose every vertebra from L1 to L3 is found, without reading or running anything; counts the runs."""
    import numpy as np

    from spondyl.models.crops import CROP_CHANNELS, CROP_SHAPE
    from spondyl.models.study_inputs import N_FACTS
    from spondyl.training.vertebrae import PatientCrops, SiteTruth

    runs = []

    class Network:
        sha256 = "0"

    def crops(case, settings, networks):
        runs.append(case)
        levels = ("L1", "L2", "", "L3")
        sites = [
            SiteTruth("", 0, is_lesion=False, position=float(i), level=v, volume_mm3=0.0) for i, v in enumerate(levels)
        ]
        stack = np.zeros((4, CROP_CHANNELS, *CROP_SHAPE), np.float16)
        stack[:, 0, 0, 0, 0] = range(4)
        return PatientCrops(stack, np.zeros(N_FACTS, np.float32), sites)

    class Study:
        case = "case"

    monkeypatch.setattr(train_classes, "load_network", lambda *_, **__: Network())
    monkeypatch.setattr(train_classes, "read_study", lambda _: Study())
    monkeypatch.setattr(train_classes, "vertebra_crops", crops)
    return runs


def _table(tmp_path, rows):
    path = tmp_path / "classes.csv"
    path.write_text(HEAD + rows)
    return path


def test_found_vertebrae_come_with_their_truth(studies, tmp_path):
    table = _table(
        tmp_path, "A,one,L3,malignant,metastasis_lytic\nA,one,L1,normal,\nA,one,T9,normal,\nB,two,L2,benign,\n"
    )
    cohort, patients = crops_of_studies(table, tmp_path / "kept", Settings())
    assert patients == {1: "A", 2: "B"}
    first = cohort[1]
    assert [(s.level, s.group, s.position) for s in first.sites] == [("L1", 0, 0.0), ("L3", 2, 3.0)]
    assert first.crops[:, 0, 0, 0, 0].tolist() == [0, 3]


def test_a_study_is_cut_once_though_its_table_changes(studies, tmp_path):
    crops_of_studies(_table(tmp_path, "A,one,L3,malignant,\n"), tmp_path / "kept", Settings())
    cohort, _ = crops_of_studies(_table(tmp_path, "A,one,L3,benign,\n"), tmp_path / "kept", Settings())
    assert len(studies) == 1
    assert cohort[1].sites[0].group == 1


def test_a_mistake_in_the_last_row_is_told_before_any_study_is_read(studies, tmp_path):
    with pytest.raises(InputError, match="row 2 of the table wants a class"):
        crops_of_studies(_table(tmp_path, "A,one,L3,benign,\nB,two,L3,bad,\n"), tmp_path / "kept", Settings())
    assert not studies


def test_a_table_whose_levels_are_nowhere_is_refused(studies, tmp_path):
    with pytest.raises(InputError, match="none of the vertebrae"):
        crops_of_studies(_table(tmp_path, "A,one,C3,benign,\n"), tmp_path / "kept", Settings())


def test_a_study_that_cannot_be_read_is_named_by_number(studies, tmp_path, monkeypatch):
    def fail(_):
        msg = "nothing there"
        raise InputError(msg)

    monkeypatch.setattr(train_classes, "read_study", fail)
    with pytest.raises(InputError, match="study 1 of the table cannot be used: nothing there"):
        crops_of_studies(_table(tmp_path, "Secret,Secret-study,L3,benign,\n"), tmp_path / "kept", Settings())
