"""One stored anatomy, one small network, one processor thread."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spondyl.phantom.anatomy import build_anatomy

torch = pytest.importorskip("torch")

SEED = 2_000_004


@pytest.fixture(autouse=True)
def _one_thread():
    """Keep small tensors from waiting for threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def anatomy():
    """A patient with lesions in the voxels that training stores."""
    from spondyl.training.anatomies import SPACING_MM

    return build_anatomy(SEED, spacing_mm=SPACING_MM, extent_mm=(88.0, 210.0, 190.0))


@pytest.fixture(scope="session")
def stored(anatomy):
    """The same patient as training reads it."""
    from spondyl.training.anatomies import StoredAnatomy, pack, truth_of

    return StoredAnatomy(*pack(anatomy), truth_of(anatomy))


@pytest.fixture(scope="session")
def folder(anatomy, tmp_path_factory):
    """A folder of anatomies that holds this one."""
    from spondyl.training.anatomies import pack, truth_of

    path = tmp_path_factory.mktemp("anatomies")
    np.save(path / f"{SEED:07d}.npy", pack(anatomy))
    (path / f"{SEED:07d}.json").write_text(json.dumps(truth_of(anatomy)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small_network():
    """The class of a network as the real one, a hundred times smaller."""
    from spondyl.training.networks import SpineUNet

    class SmallUNet(SpineUNet):
        def __init__(self):
            super().__init__(channels=(8, 8, 12, 12, 16), head=4)

    return SmallUNet
