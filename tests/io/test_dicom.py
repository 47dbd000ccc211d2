"""Facts and pixels of single files, damaged ones included."""

import logging
import shutil

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from spondyl.core import InputError
from spondyl.io.dicom import Frame, Instance, quiet, read_headers
from spondyl.io.files import StudyFile
from spondyl.io.study import read_study

from .dicom_factory import PLANTED, enhanced, header, save, series


def frames_of(path):
    (instance,), _ = read_headers((StudyFile(1, path, path.name),))
    return list(instance.frames)


def test_a_shared_fact_and_a_frames_own_fact_are_found():
    frame = Frame(Instance(None, enhanced(series("STIR", n=3))), 2)
    assert frame.number_of("RepetitionTime") == 4200
    assert frame.number_of("EchoTime") == 38
    assert frame.numbers("ImagePositionPatient", 3)[0] == pytest.approx(-17.4)


def test_missing_and_malformed_facts_are_none():
    frame = Frame(Instance(None, header(SeriesDescription="", PixelSpacing=[1.0, 2.0])), 1)
    assert frame.get("SeriesDescription") is None
    assert frame.numbers("PixelSpacing", 3) is None
    assert frame.number_of("Modality") is None
    assert frame.words("ScanOptions") == ()


def test_a_file_without_preamble_is_read(tmp_path):
    ds = series(n=1)[0]
    save([ds], tmp_path)
    content = (tmp_path / "IM0000").read_bytes()
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    (tmp_path / "IM0000").write_bytes(content[132:])
    assert len(frames_of(tmp_path / "IM0000")) == 1


def test_nothing_is_said_while_quiet_and_everything_after(caplog):
    with caplog.at_level(logging.DEBUG):
        with quiet():
            logging.getLogger("pydicom").error(PLANTED)
        assert not caplog.text
        logging.getLogger("pydicom").error("after")
    assert "after" in caplog.text


def test_who_leaves_first_does_not_let_another_be_heard(caplog):
    first, second = quiet(), quiet()
    with caplog.at_level(logging.DEBUG):
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        logging.getLogger("pydicom").error(PLANTED)
        second.__exit__(None, None, None)
        assert not caplog.text
        logging.getLogger("pydicom").error("after")
    assert "after" in caplog.text


@pytest.mark.slow
def test_random_damage_never_escapes_as_anything_but_an_input_error(tmp_path, rng, caplog):
    sources = [save(series(n=4), tmp_path / "classic"), save([enhanced(series(n=4))], tmp_path / "enhanced")]
    caplog.clear()
    for trial in range(60):
        folder = tmp_path / "damaged"
        shutil.copytree(sources[trial % 2], folder)
        for path in folder.iterdir():
            content = bytearray(path.read_bytes())
            for at in rng.integers(132, min(len(content), 3000), rng.choice([1, 3, 20])):
                content[at] = rng.integers(256)
            path.write_bytes(content[: rng.integers(200, len(content))] if rng.random() < 0.2 else content)
        try:
            study = read_study(folder)
            said = repr(study.set_aside) + repr(study.case.quality)
        except InputError as error:
            said = str(error)
        assert "PLANTED" not in said + caplog.text
        shutil.rmtree(folder)
