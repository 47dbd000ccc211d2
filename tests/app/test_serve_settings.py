"""Settings of the node: cautious defaults, a file, the environment, and clear words for what does not fit."""

import pytest

from spondyl.app.serve_settings import read_serve_settings
from spondyl.core import SettingsError

FILE = """
ae_title = "NODE"
quiet_s = 3.5

[[peers]]
ae_title = "MODALITY"
addresses = ["10.1.0.0/16"]

[[destinations]]
name = "pacs"
kind = "dicom"
ae_title = "PACS"
host = "pacs.example"
port = 104

[[destinations]]
name = "web"
kind = "dicomweb"
url = "https://pacs.example/dicom-web"
username = "spondyl"
password = "hush-hush"
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "serve.toml"
    path.write_text(FILE)
    return path


def test_nothing_listens_or_leaves_unless_told(tmp_path):
    settings = read_serve_settings(data=tmp_path)
    assert (settings.dicom_host, settings.web_host) == ("127.0.0.1", "127.0.0.1")
    assert settings.destinations == ()
    assert settings.database == f"sqlite:///{tmp_path / 'spondyl.sqlite'}"


def test_the_file_is_read_and_the_environment_and_the_caller_go_over_it(file, monkeypatch, tmp_path):
    monkeypatch.setenv("SPONDYL_QUIET_S", "7")
    settings = read_serve_settings(file, data=tmp_path, ae_title=None)
    assert (settings.ae_title, settings.quiet_s, settings.data) == ("NODE", 7.0, tmp_path)
    assert [d.name for d in settings.destinations] == ["pacs", "web"]


def test_a_password_is_not_shown(file):
    assert "hush-hush" not in repr(read_serve_settings(file))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("quiet = 3", "quiet"),
        ("quiet_s = 0", "quiet_s"),
        ('ae_title = "far too long for a title"', "ae_title"),
        ('[[peers]]\nae_title = "A"\naddresses = ["10.0.0.300"]', "addresses"),
        ('[[destinations]]\nname = "a"\nkind = "ftp"', "destinations"),
        ('[[destinations]]\nname = "a"\nkind = "dicomweb"\nurl = "https://a"\npassword = "hush-hush"\nx = 1', "x"),
        ('database_url = "mysql://a"', "database_url"),
        ("=", "not TOML"),
    ],
)
def test_what_does_not_fit_is_named_and_never_repeated(tmp_path, text, named):
    path = tmp_path / "serve.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=named) as raised:
        read_serve_settings(path)
    assert "hush-hush" not in str(raised.value)
