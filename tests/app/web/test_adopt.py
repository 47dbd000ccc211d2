"""A study that was analyzed at the command line is shown like any other."""

import pytest
from typer.testing import CliRunner

from spondyl.app.cli import app
from spondyl.app.web.adopt import adopt_result
from spondyl.core import InputError
from web_site import make_site


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A study folder and a result folder."""
    site = make_site(tmp_path_factory.mktemp("from"))
    key = site.add_study("1.2.826.0.1.3680043.8.498.61")
    folder = site.services.studies.folder
    return folder.incoming(key), folder.result(key)


def test_the_page_shows_it_once(given, tmp_path):
    site = make_site(tmp_path)
    studies = site.services.studies
    key = adopt_result(studies.catalog, studies.folder, *given)
    line = site.client("vi").get("/api/studies").json()[0]
    assert (line["study_key"], line["state"], line["urgency"], line["n_instances"]) == (key, "done", "urgent", 27)
    assert site.client("vi").get(f"/api/studies/{key}").json()["result"]["lesions"]
    with pytest.raises(InputError, match="here already"):
        adopt_result(studies.catalog, studies.folder, *given)
    assert list(studies.folder.scratch.iterdir()) == []


def test_what_is_no_result_leaves_nothing(given, tmp_path):
    site = make_site(tmp_path / "data")
    studies = site.services.studies
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        adopt_result(studies.catalog, studies.folder, given[0], tmp_path / "empty")
    with pytest.raises(InputError):
        adopt_result(studies.catalog, studies.folder, given[1] / "report.html", given[1])
    assert list(studies.folder.studies.iterdir()) == []


def test_commands_make_users_add_studies_and_check_the_log(given, tmp_path):
    def run(*words, **more):
        return CliRunner().invoke(app, ["page", *words, "--data", str(tmp_path)], **more)

    asked = run("users", "add", "ada", "--role", "admin", "--password-stdin", input="correct horse battery\n")
    assert asked.exit_code == 0, asked.output
    assert run("users", "add", "bob", "--password-stdin", input="short\n").exit_code == 3
    assert (
        run("users", "add", "bob", "--role", "king", "--password-stdin", input="long enough for all\n").exit_code == 2
    )
    assert "ada" in run("users", "list").output
    assert run("add", *map(str, given)).exit_code == 0
    assert run("audit").output.startswith("1 entries, whole")
    assert run("opinions", "--out", str(tmp_path / "o.zip")).exit_code == 0
    assert (tmp_path / "o.zip").read_bytes()[:2] == b"PK"
