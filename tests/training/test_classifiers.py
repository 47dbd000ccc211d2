"""The classifiers keep to their crops, tell where they looked, and do not mix studies."""

from __future__ import annotations

import pytest
import torch

from spondyl.models.crops import CROP_CHANNELS, CROP_FACTS, CROP_SHAPE, tokens_of
from spondyl.models.study_inputs import N_FACTS, Slot
from spondyl.training.classifiers import (
    ContextTransformer,
    CropDenseNet,
    CropResNet,
    MaskedPool,
    Width,
    activation,
    load_matching,
)

GROUPS = (0, 1, 1, 2)
SMALL = Width(resnet=(4, 4, 6, 8), densenet=(4, 4, 2, 2), token=16, heads=2, layers=1)


@pytest.fixture
def sites():
    """Four sites of which T1 and T2 were given."""
    torch.manual_seed(3)
    crops = torch.randn(4, CROP_CHANNELS, *CROP_SHAPE)
    crops[:, -1] = (crops[:, -1] > 0).float()
    facts = torch.zeros(4, CROP_FACTS)
    facts[:, :N_FACTS].view(4, len(Slot), -1)[:, [0, 2], 0] = 1
    return crops, facts


def context_logits(model, sites, study):
    tokens = tokens_of(*sites)
    position = torch.arange(4.0)[tokens.site]
    logits = model(tokens.crops, tokens.facts, tokens.slot, position, tokens.site, study[tokens.site])
    return logits, tokens.site


@pytest.mark.parametrize("kind", [CropResNet, CropDenseNet])
def test_places_add_up_to_the_evidence_for_malignancy(kind, sites):
    logits, seen = kind(GROUPS, SMALL).eval()(*sites)
    assert logits.shape == (4, len(GROUPS))
    other = logits[:, :3].softmax(1) @ torch.eye(3)
    expected = logits[:, 3] - (other * logits[:, :3]).sum(1)
    torch.testing.assert_close(seen.sum((1, 2, 3)), expected, rtol=1e-3, atol=1e-4)


def test_activation_is_positive_where_a_malignant_subtype_is():
    maps = torch.zeros(1, 4, 1, 1, 2)
    maps[0, 3, 0, 0, 1], maps[0, 0, 0, 0, 0] = 2.0, 2.0
    seen = activation(maps, maps.sum((2, 3, 4)), torch.tensor(GROUPS))[0, 0, 0]
    assert seen[1] > 0 > seen[0]


def test_attention_stays_mostly_inside_the_mask():
    mask = torch.zeros(1, 1, 10, 24, 32)
    mask[..., :16] = 1
    weight = MaskedPool(2)(torch.zeros(1, 2, 5, 6, 8), mask).detach()
    assert float(weight.sum()) == pytest.approx(1)
    assert float(weight[..., :4].sum()) > 0.9


def test_all_tokens_of_a_site_agree(sites):
    logits, site = context_logits(ContextTransformer(GROUPS, SMALL).eval(), sites, torch.zeros(4).long())
    for number in range(4):
        own = logits[site == number]
        torch.testing.assert_close(own, own[:1].expand_as(own))


def test_studies_do_not_see_each_other_but_levels_do(sites):
    model = ContextTransformer(GROUPS, SMALL).eval()
    crops, facts = sites
    changed = crops.clone()
    changed[3] += 2.0
    apart, together = torch.tensor([0, 0, 1, 1]), torch.zeros(4).long()

    def first(c, study):
        logits, site = context_logits(model, (c, facts), study)
        return logits[site == 0]

    torch.testing.assert_close(first(crops, apart), first(changed, apart))
    assert not torch.allclose(first(crops, together), first(changed, together))


def test_nobody_sees_that_something_was_outlined_elsewhere(sites):
    model = ContextTransformer(GROUPS, SMALL).eval()
    crops, facts = sites
    changed, lesion = crops.clone(), facts.clone()
    changed[3] += 2.0
    lesion[3, -1] = 1
    together = torch.zeros(4).long()
    before, site = context_logits(model, (crops, lesion), together)
    after, _ = context_logits(model, (changed, lesion), together)
    torch.testing.assert_close(before[site < 3], after[site < 3])
    assert not torch.allclose(before[site == 3], after[site == 3])
    alone, own = context_logits(model, (crops[:3], lesion[:3]), together[:3])
    torch.testing.assert_close(before[site < 3], alone[own < 3])


def test_matching_weights_of_another_network_are_taken_and_others_left():
    source, target = CropResNet(GROUPS, SMALL), CropResNet((0, 1, 2), SMALL)
    state = {f"module.{name}": value for name, value in source.state_dict().items()}
    taken = load_matching(target, state)
    assert "body.conv1.weight" in taken
    assert "out.weight" not in taken
    torch.testing.assert_close(target.body.conv1.weight, source.body.conv1.weight)
