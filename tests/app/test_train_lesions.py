"""Studies whose lesions were outlined: told from outlines of the spine, localized once, laid under their labels."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from fake_case import analyzed_case
from spondyl.app import train_lesions
from spondyl.app.cli import app
from spondyl.app.train_lesions import studies_with_lesions
from spondyl.core import InputError, Sequence
from spondyl.io.annotated import list_annotated
from spondyl.io.nifti import write_nifti
from spondyl.models.study_inputs import Slot
from spondyl.pipeline.settings import Settings

pytest.importorskip("monai")


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Two studies of T1 and T2 with lesions outlined on T2; their spine is known without a network; counts the runs."""
    case = analyzed_case(Sequence.T1, Sequence.T2)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for sequence in (Sequence.T1, Sequence.T2):
            write_nifti(case.images[sequence], tmp_path / name / f"{sequence}.nii.gz")
        write_nifti(case.labels["lesions"], tmp_path / f"{name}_lesions.nii.gz")
    (tmp_path / "lesions.csv").write_text(
        "patient,image,labels,sequence,meaning\n"
        "Zwicky,a,a_lesions.nii.gz,T2,1=malignant\n"
        "Quandt,b,b_lesions.nii.gz,T2,*=lesion\n"
    )
    runs = []

    class Network:
        sha256 = "0"

    def localized(read, settings, networks):
        runs.append(read)
        return case

    monkeypatch.setattr(train_lesions, "load_network", lambda *_, **__: Network())
    monkeypatch.setattr(train_lesions, "_localized", localized)
    return tmp_path, runs


def test_studies_come_with_all_their_sequences_and_their_lesions(data):
    folder, runs = data
    rows = list_annotated(folder / "lesions.csv")
    first, second = studies_with_lesions(rows, folder / "kept", Settings())
    given = first.facts.reshape(len(Slot), -1)[:, 0]
    assert [s.value for s, share in zip(Slot, given, strict=True) if share] == ["T1", "T2"]
    assert (first.target == 4).sum() == (second.target == 6).sum() > 10
    # The lesion lies inside the bodies, whose channel follows the slots.
    assert (first.channels[len(Slot)][first.target == 4] > 0.5).mean() > 0.9
    again = studies_with_lesions(rows, folder / "kept", Settings())
    assert len(runs) == 2
    assert all(np.array_equal(a.channels, b.channels) for a, b in zip((first, second), again, strict=True))


def test_a_data_set_without_any_lesion_is_told(data):
    folder, _ = data
    (folder / "lesions.csv").write_text(
        "patient,image,labels,sequence,meaning\nA,a,a_lesions.nii.gz,T2,1=ignored;2=lesion\n"
    )
    with pytest.raises(InputError, match="no study has an outlined lesion"):
        studies_with_lesions(list_annotated(folder / "lesions.csv"), folder / "kept", Settings())


def test_a_study_that_cannot_be_used_is_named_by_number(data, monkeypatch):
    folder, _ = data
    monkeypatch.setattr(train_lesions, "study_of", lambda *_: None)
    with pytest.raises(InputError, match=r"image 1 of the data cannot be used: no series at hand") as caught:
        studies_with_lesions(list_annotated(folder / "lesions.csv"), folder / "kept", Settings())
    assert "Zwicky" not in str(caught.value)


def test_the_command_chooses_task_and_start_by_what_is_outlined(data, monkeypatch):
    from spondyl.training import finetune
    from spondyl.training.own_lesions import LESION_TASK

    folder, _ = data
    called = {}
    monkeypatch.setattr(finetune, "train_on_images", lambda studies, out, settings, **more: called.update(more) or out)
    words = ["train", "segmentation", "--data", str(folder / "lesions.csv"), "--out", str(folder / "run")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert called["task"] is LESION_TASK
    assert called["origin"].name == "lesions"


def test_spine_and_lesions_are_not_learnt_together(data):
    folder, _ = data
    text = (folder / "lesions.csv").read_text().replace("*=lesion", "1=body")
    (folder / "mixed.csv").write_text(text)
    words = ["train", "segmentation", "--data", str(folder / "mixed.csv"), "--out", str(folder / "run")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 3
    assert "image 2 of the data outlines something else" in result.stderr
