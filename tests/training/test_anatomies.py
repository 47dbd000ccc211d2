"""Stored anatomies are complete or absent, and the training never sees a test patient."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import InputError
from spondyl.training import anatomies
from spondyl.training.anatomies import (
    BENIGN,
    MALIGNANT,
    REGION_SHARES,
    TRAINING_SEEDS,
    list_anatomies,
    load_anatomy,
    make_anatomies,
    region_of,
)


@pytest.fixture
def quick(monkeypatch, anatomy):
    """Make a list of the seeds asked for, and one patient for all of them."""
    asked = []

    def build(seed, **_):
        asked.append(seed)
        return anatomy

    monkeypatch.setattr(anatomies, "build_anatomy", build)
    return asked


def test_what_is_packed_comes_back(anatomy, folder):
    (path,) = list_anatomies(folder)
    stored = load_anatomy(path)
    np.testing.assert_array_equal(stored.tissue, anatomy.tissue)
    np.testing.assert_array_equal(stored.structure, anatomy.structure)
    np.testing.assert_array_equal(stored.instance, anatomy.instance)


def test_each_lesion_label_is_benign_or_malignant(anatomy, folder):
    (path,) = list_anatomies(folder)
    stored = load_anatomy(path)
    classes = stored.lesion_classes()
    assert anatomy.lesions
    for truth in anatomy.lesions:
        assert classes[truth.label] == (MALIGNANT if truth.malignant else BENIGN)
    assert set(np.unique(stored.lesion)) - {0} == set(np.flatnonzero(classes))
    assert [row["kind"] for row in stored.truth["lesions"]] == [truth.kind.value for truth in anatomy.lesions]
    assert len(stored.truth["vertebrae"]) == len(anatomy.vertebrae)


def test_only_what_is_missing_is_made(tmp_path, quick):
    assert make_anatomies(tmp_path, range(3)) == 3
    (tmp_path / "0000001.npy").unlink()
    assert make_anatomies(tmp_path, range(4)) == 2
    assert quick == [0, 1, 2, 1, 3]
    assert [p.name for p in list_anatomies(tmp_path)] == [f"{n:07d}.npy" for n in range(4)]
    assert not list(tmp_path.glob("*.part"))


def test_an_interrupted_file_is_no_anatomy(tmp_path):
    (tmp_path / "0000001.part").write_bytes(b"half")
    with pytest.raises(InputError, match="no anatomies in"):
        list_anatomies(tmp_path)


def test_regions_come_in_their_shares():
    drawn = [region_of(seed) for seed in range(1000)]
    for region, share in REGION_SHARES.items():
        assert drawn.count(region) / 1000 == pytest.approx(share, abs=0.05)
    assert drawn == [region_of(seed) for seed in range(1000)]


def test_the_patients_of_these_tests_are_not_among_those_of_training(folder):
    assert all(int(p.stem) not in TRAINING_SEEDS for p in list_anatomies(folder))
