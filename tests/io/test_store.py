"""The output folder appears whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from pathlib import Path

import pytest

from dicom_fakes import as_file, classic_source, source_grid
from spondyl.core import OutputError
from spondyl.io.store import OutputFolder

NOBODY = 65534
"""User and group without rights (Linux)."""


def _left_over(folder) -> list[str]:
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_nothing_is_seen_before_the_end_and_everything_after(tmp_path):
    target = tmp_path / "deep" / "result"
    with OutputFolder(target) as folder:
        (folder / "dicom").mkdir()
        (folder / "dicom" / "a.dcm").write_bytes(b"x")
        assert not target.exists()
    assert (target / "dicom" / "a.dcm").read_bytes() == b"x"
    assert not _left_over(target.parent)


def test_an_earlier_result_is_replaced_whole(tmp_path):
    target = tmp_path / "result"
    for name in ("old.txt", "new.txt"):
        with OutputFolder(target) as folder:
            (folder / "result.json").write_text("{}")
            (folder / name).write_text("")
    assert sorted(p.name for p in target.iterdir()) == ["new.txt", "result.json"]
    assert not _left_over(tmp_path)


def test_an_empty_folder_is_used(tmp_path):
    with OutputFolder(tmp_path / "result") as folder:
        (tmp_path / "result").mkdir()
        (folder / "result.json").write_text("{}")
    assert (tmp_path / "result" / "result.json").is_file()


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="holds other files and no Spondyl result"), OutputFolder(tmp_path):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="must be a folder, got the file"), OutputFolder(tmp_path / "out"):
        pass
    with pytest.raises(OutputError, match="a part of the path is a file"), OutputFolder(tmp_path / "out" / "deeper"):
        pass


@pytest.mark.parametrize("error", [ValueError("a defect"), KeyboardInterrupt(), SystemExit(1)])
def test_an_interrupted_run_leaves_the_earlier_result(error, tmp_path):
    target = tmp_path / "result"
    with OutputFolder(target) as folder:
        (folder / "result.json").write_text("first")

    def run() -> None:
        with OutputFolder(target) as folder:
            (folder / "result.json").write_text("half")
            raise error

    with pytest.raises(type(error)):
        run()
    assert (target / "result.json").read_text() == "first"
    assert not _left_over(tmp_path)


def test_a_full_disk_is_one_clear_line(tmp_path):
    def run() -> None:
        with OutputFolder(tmp_path / "result"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match=r"^the results cannot be written to the folder result: the disk is full"):
        run()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_recognized_through_what_pydicom_makes_of_it(tmp_path):
    class FullFile(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    dataset = as_file(classic_source(source_grid("axial")).datasets[0])
    with pytest.raises(OutputError, match="disk is full"), OutputFolder(tmp_path / "result"):
        dataset.save_as(FullFile(), enforce_file_format=True)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def write_protected():
    """A folder that may be read only, for the superuser, too, who is somebody else meanwhile."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # others cannot enter the usual place of temporary files
        if root:
            os.chown(folder, NOBODY, NOBODY)
        Path(folder).chmod(0o500)
        if root:
            os.seteuid(NOBODY)
        yield Path(folder)
        if root:
            os.seteuid(0)
        Path(folder).chmod(0o700)


def test_a_write_protected_place_is_one_clear_line(write_protected):
    with pytest.raises(OutputError, match="writing there is not permitted"), OutputFolder(write_protected / "result"):
        pass


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EACCES, "not permitted"), (errno.EROFS, "read-only"), (errno.ENOSPC, "disk is full")]
)
def test_a_place_that_cannot_be_written_is_one_clear_line(number, words, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(OutputError, match=words), OutputFolder(tmp_path / "result"):
        pass


def test_a_failed_move_puts_the_earlier_result_back(tmp_path, monkeypatch):
    target = tmp_path / "result"
    with OutputFolder(target) as folder:
        (folder / "result.json").write_text("first")
    replace = type(target).replace

    def stumble(self, to):
        if self.suffix == ".part":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, to)

    def run() -> None:
        with OutputFolder(target) as folder:
            (folder / "result.json").write_text("second")
            monkeypatch.setattr(type(target), "replace", stumble)

    with pytest.raises(OutputError, match="disk is full"):
        run()
    assert (target / "result.json").read_text() == "first"
    assert not _left_over(tmp_path)


def test_an_unreadable_input_is_not_blamed_on_the_output(tmp_path):
    def run() -> None:
        with OutputFolder(tmp_path / "result"):
            raise PermissionError(errno.EACCES, "no", str(tmp_path / "input.dcm"))

    with pytest.raises(PermissionError):
        run()


def test_the_result_is_as_readable_as_other_new_folders(tmp_path):
    (tmp_path / "plain").mkdir()
    with OutputFolder(tmp_path / "result"):
        pass
    assert (tmp_path / "result").stat().st_mode == (tmp_path / "plain").stat().st_mode
