"""A folder of studies, or a store, becomes results and one table; again where it was broken off."""

import json

import anndata
import fsspec
import pandas as pd
import pytest

from node_fakes import PLANTED, count_and_analyze, stub_worker, write_study
from spondyl.app.cohort_analyze import CohortChoices, analyze_cohort
from spondyl.app.jobs import cohort
from spondyl.app.jobs.cohort import analyze_entry, entries, workers_that_fit
from spondyl.app.jobs.work import Bench, use
from spondyl.core import InputError


@pytest.fixture
def studies(tmp_path):
    for number in range(3):
        write_study(tmp_path / "in" / f"{PLANTED}-{number}", seed=number)
    (tmp_path / "in" / "empty").mkdir()
    return tmp_path / "in"


def analyzed(studies, out):
    told = []
    choices = CohortChoices(jobs=1)
    outcomes = analyze_cohort(str(studies), str(out), choices, progress=lambda *w: told.append(w), target=stub_worker)
    return outcomes, told


@pytest.mark.slow
def test_a_folder_becomes_results_and_one_table_and_is_not_analyzed_twice(studies, tmp_path):
    out = tmp_path / "out"
    outcomes, told = analyzed(studies, out)
    table = anndata.read_h5ad(out / "cohort.h5ad")
    said = pd.read_csv(out / "studies.csv")
    assert list(said["state"]) == ["done", "done", "done", "failed"]
    assert "expected" in said["reason"].iloc[3]
    assert (table.n_obs, set(table.uns["lesions"]["key"])) == (3, set(table.obs_names))
    assert table.to_df()["n_lesions"].tolist() == [2.0, 2.0, 2.0]
    assert told[-1] == ("study", 4, 4)
    assert PLANTED not in " ".join(p.as_posix() for p in out.rglob("*")) + (out / "studies.csv").read_text()
    begun = len(list(out.rglob("begun-*")))
    again, _ = analyzed(studies, out)
    assert again == outcomes
    assert len(list(out.rglob("begun-*"))) == begun + 1  # only what had no result


def test_studies_and_results_may_lie_in_a_store(studies, tmp_path):
    store = fsspec.filesystem("memory")
    store.put(str(studies), "/cohort", recursive=True)
    found = entries("memory://cohort")
    use(Bench(None, None, None, None, count_and_analyze))
    assert analyze_entry("memory://cohort", found[0].place, "memory://results/studies/a") == ""
    assert json.loads(store.cat("/results/studies/a/result.json"))["research_use_only"]
    assert store.exists("/results/studies/a/dicom/lesions.dcm")
    before = store.modified("/results/studies/a/result.json")
    assert analyze_entry("memory://cohort", found[0].place, "memory://results/studies/a") == ""
    assert store.modified("/results/studies/a/result.json") == before


@pytest.mark.parametrize("place", ["nowhere", "no-such-protocol://x", "empty"])
def test_a_place_without_studies_is_told(tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        entries(place if "://" in place else str(tmp_path / place))


def test_no_more_workers_are_started_than_fit_into_memory(monkeypatch):
    monkeypatch.setattr(cohort, "WORKER_GIB", 1e9)
    assert workers_that_fit() == 1


def test_a_place_that_is_not_there_leaves_nothing_behind(tmp_path):
    with pytest.raises(InputError, match="cannot be reached"):
        analyze_cohort(str(tmp_path / "nowhere"), str(tmp_path / "out"), CohortChoices(), progress=print)
    assert not (tmp_path / "out").exists()
