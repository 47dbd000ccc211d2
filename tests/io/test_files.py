"""Finding files: order, links, archives, and no name in any message."""

import zipfile

import pytest

from spondyl.core import InputError
from spondyl.io import files
from spondyl.io.files import open_study, walk


def test_files_are_listed_sorted_and_without_litter(tmp_path):
    for name in ("b/2", "a/9", ".DS_Store", "c/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with open_study(tmp_path) as (found, refused):
        assert [f.name for f in found] == ["a/9", "b/2"]
        assert [f.number for f in found] == [1, 2]
    assert refused == ()


def test_a_loop_of_links_is_walked_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert len(walk(tmp_path)) == 1


def test_a_dangling_link_is_no_file(tmp_path):
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    assert walk(tmp_path) == []


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_FILES", 2)
    for n in range(3):
        (tmp_path / str(n)).touch()
    with pytest.raises(InputError, match="at most 2 files"):
        walk(tmp_path)


def test_an_archive_of_nothing_but_zeros_is_refused_by_its_ratio(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "RATIO_CHECKED_FROM_BYTES", 1000)
    monkeypatch.setattr(files, "MAX_COMPRESSION_RATIO", 100)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(1_000_000))
    with pytest.raises(InputError, match="100 times"), open_study(tmp_path / "a.zip"):
        pass


def test_a_damaged_member_is_refused_and_the_rest_is_unpacked(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one", b"good" * 100)
        archive.writestr("two", b"evil" * 100)
    path.write_bytes(path.read_bytes().replace(b"evil", b"bad!", 1))
    with open_study(path) as (found, refused):
        assert [f.path.read_bytes() for f in found] == [b"good" * 100]
    assert [r.what for r in refused] == ["file 2 of the archive"]


def test_a_damaged_archive_is_an_input_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "PLANTED.zip", "w") as archive:
        archive.writestr("one", b"good" * 100)
    content = (tmp_path / "PLANTED.zip").read_bytes()
    (tmp_path / "PLANTED.zip").write_bytes(content.replace(b"PK\x01\x02", b"PK\x09\x09"))
    with pytest.raises(InputError, match="damaged") as caught, open_study(tmp_path / "PLANTED.zip"):
        pass
    assert "PLANTED" not in str(caught.value)


def test_a_dicomdir_that_is_none_is_an_input_error(tmp_path):
    (tmp_path / "DICOMDIR").write_text("no")
    with pytest.raises(InputError, match="expected a DICOMDIR"), open_study(tmp_path / "DICOMDIR"):
        pass
