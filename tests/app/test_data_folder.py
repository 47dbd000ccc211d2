"""Names in the data folder come from a key, never from what was sent."""

import pytest

from spondyl.app.data_folder import DataFolder
from spondyl.core import InputError


def test_a_study_keeps_its_key_in_one_folder_and_has_another_elsewhere(tmp_path):
    uid = "1.2.840.113619.2.1"
    here, again, there = DataFolder(tmp_path / "a").make(), DataFolder(tmp_path / "a"), DataFolder(tmp_path / "b")
    assert here.study_key(uid) == again.study_key(uid) != there.study_key(uid)
    assert here.instance_name(uid) != here.study_key(uid)


def test_no_name_holds_what_was_sent(tmp_path):
    folder = DataFolder(tmp_path)
    for uid in ("../../etc/passwd", "1.2.3", "DOE^JANE", "\0", "é" * 100):
        assert set(folder.study_key(uid)) <= set("0123456789abcdef")
        assert folder.study(folder.study_key(uid)).parent == tmp_path / "studies"
        assert folder.instance_name(uid).removesuffix(".dcm").isalnum()


@pytest.mark.parametrize("key", ["../" * 8, "", "a" * 25, "A" * 24, "0" * 23 + "/", "0" * 24 + "\n"])
def test_what_is_no_key_is_refused_as_a_folder(tmp_path, key):
    with pytest.raises(InputError, match="expected a study key"):
        DataFolder(tmp_path).incoming(key)


def test_secrets_are_readable_by_their_owner_alone(tmp_path):
    folder = DataFolder(tmp_path / "data").make()
    folder.study_key("1.2")
    token = folder.token()
    assert folder.token() == token
    assert folder.token("given") == "given"
    for file in ("key", "token"):
        assert (folder.root / file).stat().st_mode & 0o077 == 0
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
