"""A de-identified copy of a study: at the command line and from the page."""

import io
import zipfile
from collections import Counter

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from node_fakes import PLANTED, stub_analysis, write_study
from spondyl.app.cli import app
from spondyl.io.seg import read_segmentation
from spondyl.io.study import read_study
from web_site import make_site


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory):
    base = tmp_path_factory.mktemp("study")
    write_study(base / "in")
    stub_analysis(base / "in", base / "result")
    return base


def _export(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_the_copy_is_read_as_the_study_was_and_its_results_lie_on_it(analyzed, tmp_path):
    done = _export(analyzed / "in", "--result", analyzed / "result", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    files = sorted((tmp_path / "out").rglob("*.dcm"))
    assert not [f for f in files if PLANTED.encode() in f.read_bytes() or b"PLANTED-0" in f.read_bytes()]
    assert PLANTED not in done.output + str(files)
    kinds = Counter(pydicom.dcmread(f, stop_before_pixels=True).Modality for f in files)
    assert kinds == {"MR": 6, "SEG": 2, "SR": 1}
    images = [f for f in files if pydicom.dcmread(f, stop_before_pixels=True).Modality == "MR"]
    folder = images[0].parent
    before, after = read_study(analyzed / "in").case, read_study(folder).case
    (was,), (now,) = before.images.values(), after.images.values()
    np.testing.assert_array_equal(was.array, now.array)
    np.testing.assert_allclose(was.grid.affine, now.grid.affine)
    for file in files:
        if pydicom.dcmread(file, stop_before_pixels=True).Modality == "SEG":
            assert all(mask.array.any() for _, mask in read_segmentation(file, on=now.grid))


def test_a_key_file_keeps_exports_together_and_is_for_its_owner_alone(analyzed, tmp_path):
    names = []
    for number in range(2):
        done = _export(analyzed / "in", "--key", tmp_path / "key", "--out", tmp_path / str(number))
        assert done.exit_code == 0
        names.append(sorted(f.name for f in (tmp_path / str(number)).rglob("*.dcm")))
    assert names[0] == names[1]
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    assert _export(analyzed / "in", "--out", tmp_path / "2").exit_code == 0
    assert sorted(f.name for f in (tmp_path / "2").rglob("*.dcm")) != names[0]
    (tmp_path / "short").write_bytes(b"short")
    assert _export(analyzed / "in", "--key", tmp_path / "short", "--out", tmp_path / "3").exit_code == 3


def test_what_cannot_be_cleaned_is_left_out_with_its_reason(analyzed, tmp_path):
    write_study(tmp_path / "in", seed=3)
    file = next((tmp_path / "in").iterdir())
    image = pydicom.dcmread(file)
    image.BurnedInAnnotation = "YES"
    image.save_as(file)
    (tmp_path / "in" / "note.txt").write_text(PLANTED)
    done = _export(tmp_path / "in", "--out", tmp_path / "out")
    assert done.exit_code == 0
    told = (tmp_path / "out" / "export.txt").read_text()
    assert "1 left out: its header says that words are burned into the picture" in told
    assert "Look at every picture" in told
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 5


def test_where_nothing_can_be_exported_nothing_is_written(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note.dcm").write_text("no DICOM")
    done = _export(tmp_path / "in", "--out", tmp_path / "out")
    assert done.exit_code == 3
    assert not (tmp_path / "out").exists()
    assert _export(tmp_path / "in", "--out", tmp_path / "out", "--dates", "guess").exit_code == 2


def test_the_page_gives_copies_to_administrators_alone_and_notes_it(tmp_path):
    site = make_site(tmp_path / "data")
    key = site.add_study("1.2.826.0.1.3680043.8.498.71", name="Doe^Jane")
    path = f"/api/studies/{key}/deidentified.zip"
    assert site.client("rad").get(path).status_code == 403
    answer = site.client("ada").get(path, params={"dates": "shift"})
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
        assert not [n for n in names if b"Doe^Jane" in archive.read(n) or b"SYN-0001" in archive.read(n)]
    results = list(site.services.studies.folder.result(key).rglob("*.dcm"))
    assert results
    assert len([n for n in names if n.endswith(".dcm")]) == 27 + len(results)
    assert "doe" not in answer.headers["content-disposition"].lower()
    assert key not in answer.headers["content-disposition"]
    (entry,) = [e for e in site.services.log.entries() if e.action == "study.export"]
    assert (entry.user_name, entry.study_key) == ("ada", key)
    assert not list(site.services.studies.folder.scratch.iterdir())
    assert site.client("ada").get(path, params={"dates": "guess"}).status_code == 422
