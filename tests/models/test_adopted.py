"""Networks made elsewhere see images of their own orientation, spacing and scale, and answer where the patient is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakes import BODIES_MM, GRAY, gray_case, gray_image, reoriented_case, sagittal_grid
from spondyl.core import ModelError, Sequence, Structure
from spondyl.lesions.step import LesionSettings, find_lesions
from spondyl.localize.step import LocalizeSettings, localize
from spondyl.models import ModelCard, segment
from spondyl.models.adopted import Scaling, as_lesions, as_structures, look, prepared, scaled, tiled, ways_of

ADOPTED = {
    "orientation": "SAR",
    "spacing_mm": [2.0, 2.0, 3.0],
    "patch": [48, 32, 16],
    "channels": [["T2", "T1"]],
    "scalings": [{"kind": "none"}],
    "scale_first": True,
    "crop": False,
    "sigmoid": False,
    "classes": ["rest", "body+cortex", "disc", "canal", "sacrum", "s1", "posterior", "cortex", "cord", "body"],
}
EXACT = {"spacing_mm": [1.5, 1.5, 4.0]}
"""The voxels of the fake column, so that no interpolation makes gray values between those of two things."""

MEANT = (None, Structure.BODY, Structure.DISC, Structure.CANAL, Structure.SACRUM, Structure.S1, Structure.POSTERIOR)
MORE = (GRAY[Structure.CORTEX], GRAY[Structure.CORD], GRAY["lesion"])


def _card(**changes):
    return ModelCard(
        name="other",
        version="1",
        task="",
        weights="none",
        sha256="3" * 64,
        spacing_mm=(2, 2, 3),
        slice_range_mm=(2, 3),
        multiple=(1, 1, 1),
        structures=(),
        lesion_classes=(),
        details={"adopted": ADOPTED | changes, "training": {"data": "data of others"}},
    )


class Reading:
    """Tells structures by their gray value, in the patches that its card asks for; keeps the shapes it was given."""

    def __init__(self, card=None, grays=None):
        self.card = card or _card()
        self.name, self.sha256 = "other 1", self.card.sha256
        self.grays = grays or [GRAY["soft tissue"], *(GRAY[s] for s in MEANT[1:]), *MORE]
        self.given = []

    def run(self, *inputs):
        self.given.append(inputs[0].shape)
        distance = np.abs(inputs[0][0, 0][None] - np.array(self.grays)[:, None, None, None])
        return [(-distance / 10)[None].astype(np.float32)]

    def release(self):
        """Keep nothing, as there is nothing to keep."""


def test_an_image_is_turned_resampled_and_scaled_as_the_card_says():
    image = gray_image(Sequence.T2, sagittal_grid())
    volume, grid = prepared([image], ways_of(_card()))
    assert (grid.orientation, grid.spacing_mm) == ("SAR", pytest.approx((2, 2, 3), rel=0.1))
    at = np.round(grid.lps_to_ijk(BODIES_MM[1])).astype(int)
    assert volume[0][tuple(at)] == GRAY[Structure.BODY]
    assert volume.shape[1:] == grid.shape


def test_what_is_empty_around_an_image_is_cropped_without_moving_the_rest():
    image = gray_image(Sequence.T2, sagittal_grid())
    whole, cut = (prepared([image], ways_of(_card(crop=c))) for c in (False, True))
    assert cut[1].shape[0] < whole[1].shape[0]
    at = np.round(cut[1].lps_to_ijk(BODIES_MM[1])).astype(int)
    assert cut[0][0][tuple(at)] == GRAY[Structure.BODY]


def test_scalings_are_what_they_say():
    x = np.array([0, 0, 2, 4], np.float32)
    np.testing.assert_allclose(scaled(x, Scaling("zscore")), (x - 1.5) / x.std(), rtol=1e-6)
    np.testing.assert_allclose(scaled(x, Scaling("zscore", nonzero=True)), [0, 0, -1, 1], rtol=1e-6)
    np.testing.assert_allclose(scaled(x, Scaling("unit")), [0, 0, 0.5, 1])
    np.testing.assert_allclose(scaled(x, Scaling("window", low=1, high=3)), [0, 0, 0.5, 1])
    np.testing.assert_allclose(scaled(x, Scaling("clipped", low=1, high=3, mean=2, deviation=0.5)), [-2, -2, 0, 2])
    assert scaled(x, Scaling("none")) is x
    with pytest.raises(ModelError, match="not known"):
        scaled(x, Scaling("magic"))


def test_patches_blend_to_what_one_look_would_give():
    volume = np.random.default_rng(0).normal(400, 300, (1, 70, 40, 16)).astype(np.float32)
    network = Reading()
    found = tiled(volume, network, ways_of(network.card))
    assert set(network.given) == {(1, 1, 48, 32, 16)}
    assert len(network.given) == 4
    np.testing.assert_allclose(found, network.run(volume[None])[0][0], rtol=1e-3, atol=1e-3)


def test_answers_do_not_depend_on_how_the_image_is_stored():
    case = gray_case(sequences=(Sequence.T2,))
    one, other = (segment(c.images[Sequence.T2], Reading()) for c in (case, reoriented_case(case, "ASR")))
    assert one.grid.orientation == "LIP"
    assert one.grid.same_space(other.grid, 1e-3)
    np.testing.assert_allclose(one.structures, other.structures, atol=1e-3)


def test_it_carries_the_first_step_of_an_analysis():
    case = localize(gray_case(), LocalizeSettings(), network=Reading(_card(**EXACT)))
    assert [v.level for v in case.vertebrae] == ["L1", "L2", "L3", "L4", "L5", "S1"]
    for vertebra, center in zip(case.vertebrae, BODIES_MM, strict=True):
        assert np.linalg.norm(np.subtract(vertebra.centroid_lps_mm, center)) < 4
    assert "data of others" in case.history[-1].methods


def test_it_carries_the_second_step_with_one_sequence_of_its_own():
    case = localize(gray_case(), LocalizeSettings(), network=Reading(_card(**EXACT)))
    card = _card(classes=["rest", "rest", "lesion"], channels=[["T1"]], **EXACT)
    network = Reading(card, [GRAY[Structure.BODY], (GRAY[Structure.CANAL] + GRAY[Structure.CORD]) / 2, GRAY["lesion"]])
    case = find_lesions(case, LesionSettings(), network=network)
    (lesion,) = case.lesions
    assert (lesion.level, lesion.sequences_used) == ("L3", ("T1",))
    assert lesion.probabilities["benign"] == pytest.approx(lesion.probabilities["malignant"])
    none = find_lesions(case.with_(lesions=()), LesionSettings(), network=Reading(_card(channels=[["STIR"]])))
    assert [f.code for f in none.quality][-1] == "no_lesion_sequence"


def test_what_does_not_fit_is_told():
    with pytest.raises(ModelError, match="outlines the spine on STIR"):
        localize(gray_case(), LocalizeSettings(), network=Reading(_card(channels=[["STIR"]])))
    with pytest.raises(ModelError, match="looks at T1CE, the study has T1, T2"):
        look(gray_case().images, Reading(_card(channels=[["T1CE"]])))
    with pytest.raises(ModelError, match="outlines something else"):
        find_lesions(
            localize(gray_case(), LocalizeSettings(), network=Reading(_card(**EXACT))),
            LesionSettings(),
            network=Reading(),
        )
    with pytest.raises(ModelError, match="its card tells 2 classes"):
        look(gray_case().images, Reading(_card(classes=["rest", "lesion"])))
    broken = replace(_card(), details={"adopted": {"orientation": "RAS"}})
    with pytest.raises(ModelError, match="does not tell how to run it"):
        ways_of(broken)


def test_classes_become_structures_and_lesions_that_sum_to_one():
    p = np.array([[0.2], [0.5], [0.3]], np.float32)
    ways = ways_of(_card(classes=["rest", "disc", "body+cortex"]))
    found = as_structures(p, ways)
    assert found[Structure.DISC, 0] == pytest.approx(0.5)
    assert found[Structure.BODY, 0] == pytest.approx(0.3)
    assert found.sum() == pytest.approx(1)
    independent = as_lesions(np.array([[0.9], [0.8]], np.float32), ways._replace(classes=("benign", "malignant")))
    assert independent.sum() == pytest.approx(1)
    assert independent[1, 0] == pytest.approx(0.9 / 1.7)
