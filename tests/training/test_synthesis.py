"""Patches are seeded, complete, and their labels lie where the image shows them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spondyl.core import Structure
from spondyl.models import ContrastCode
from spondyl.phantom.anatomy import build_anatomy
from spondyl.phantom.tissue import N_TISSUES, STRUCTURE_OF_TISSUE, Tissue
from spondyl.training.anatomies import SPACING_MM, StoredAnatomy, pack
from spondyl.training.contrast import N_INSTANCES, Contrast
from spondyl.training.render import PATCH_SHAPE, Pose, _rotation
from spondyl.training.synthesis import _render, make_patch


@pytest.fixture(scope="module")
def patch(stored):
    return make_patch(stored, np.random.default_rng(3), physical_share=1.0)


class _Straight:
    """A generator that never asks for the bend, and is otherwise not needed."""

    def random(self):
        return 1.0


def _bright(*tissues):
    signal = np.zeros((N_TISSUES, N_INSTANCES), np.float32)
    signal[list(tissues)] = 1
    return Contrast(signal, 0 * signal, 0 * signal, ContrastCode.OTHER, teaches_lesions=True)


@pytest.fixture(scope="module")
def healthy():
    """A patient without lesions, so that every body is of body tissue alone."""
    patient = build_anatomy(2_000_004, spacing_mm=SPACING_MM, extent_mm=(88.0, 210.0, 190.0), lesions="none")
    return StoredAnatomy(*pack(patient))


def _pose(stored, matrix=None, slice_mm=3.0):
    bodies = np.argwhere(np.asarray(stored.structure) == Structure.BODY).mean(0) * SPACING_MM
    return Pose(bodies, np.eye(3) if matrix is None else matrix, slice_mm, 0.9 * slice_mm)


def _shown(stored, contrast, pose):
    noise = torch.Generator().manual_seed(0)
    seen = _render(stored, contrast, pose, _Straight(), noise, torch.device("cpu"))
    return seen.signal.numpy(), seen.structure.numpy(), seen.outside.numpy()


def _dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_a_patch_has_the_shapes_the_network_takes(patch):
    assert tuple(patch.image.shape) == (2, *PATCH_SHAPE)
    assert patch.image.dtype == torch.float32
    assert torch.isfinite(patch.image).all()
    assert patch.code.sum() == 1
    assert tuple(patch.structure.shape) == PATCH_SHAPE
    assert patch.structure.dtype == torch.int64
    assert set(patch.structure.unique().tolist()) <= {int(s) for s in Structure}


def test_the_same_seed_gives_the_same_patch(stored, patch):
    again = make_patch(stored, np.random.default_rng(3), physical_share=1.0)
    for name in ("image", "code", "structure"):
        assert torch.equal(getattr(again, name), getattr(patch, name))
    other = make_patch(stored, np.random.default_rng(4), physical_share=1.0)
    assert not torch.equal(other.image, patch.image)


@pytest.mark.parametrize(
    ("tissues", "structures"),
    [
        ((Tissue.MARROW, Tissue.CORTEX, Tissue.BASIVERTEBRAL_VEIN), (Structure.BODY, Structure.CORTEX)),
        (tuple(t for t in Tissue if STRUCTURE_OF_TISSUE[t] == Structure.DISC), (Structure.DISC,)),
    ],
    ids=["bodies", "discs"],
)
@pytest.mark.parametrize("turn_deg", [(0, 0, 0), (12, -6, 5)], ids=["straight", "turned"])
def test_labels_lie_where_the_image_shows_them(healthy, tissues, structures, turn_deg):
    pose = _pose(healthy, _rotation(np.radians(turn_deg)))
    image, label, outside = _shown(healthy, _bright(*tissues), pose)
    wanted = np.isin(label, structures) & ~outside
    assert wanted.sum() > 500
    assert _dice((image > 0.5) & ~outside, wanted) > 0.93


def test_labels_of_a_mirrored_patch_are_mirrored_too(stored):
    pose = _pose(stored)
    _, label, _ = _shown(stored, _bright(Tissue.MARROW), pose)
    _, mirrored, _ = _shown(stored, _bright(Tissue.MARROW), _pose(stored, np.diag([-1.0, 1, 1])))
    assert _dice(label[::-1] == Structure.BODY, mirrored == Structure.BODY) > 0.98


def test_beyond_the_anatomy_is_outside(stored):
    pose = _pose(stored)
    far = Pose(pose.center_mm + np.array([0, 400, 0]), pose.matrix, pose.slice_mm, pose.thickness_mm)
    _, _, outside = _shown(stored, _bright(Tissue.MARROW), far)
    assert outside.all()


def test_a_rotation_is_one():
    turn = _rotation(np.radians([20, -10, 5]))
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)


def test_voxels_hidden_by_the_field_of_view_are_background(stored):
    cut_rows = 0
    for seed in range(12):
        patch = make_patch(stored, np.random.default_rng(seed), physical_share=1.0)
        # Noise is everywhere but where nothing was received.
        cut = patch.image[0].std(dim=(0, 2)) < 1e-6
        cut_rows += int(cut.sum())
        assert (patch.structure[:, cut] == 0).all()
    assert cut_rows > 20
