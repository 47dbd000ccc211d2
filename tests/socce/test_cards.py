import pytest

from spondyl.socce.cards import MARKS_FROM, token_cards


def test_cards_describe_the_tokens(model, placed, omics):
    cards = token_cards(model, placed, omics.modalities, omics.patients, spread="primary")
    assert len(cards) == len(model.codebook_.weights)
    for card in cards:
        assert card.marks
        assert abs(card.marks[0].difference_sd) >= MARKS_FROM
        assert sum(share for _, share in card.spread) == pytest.approx(1)
        assert set(card.examples) <= set(omics.patients.index)


def test_a_token_of_bone_formation_is_marked_by_it(model, placed, omics):
    """The subtype that makes bone is dark on T1 and T2 and high in osteoblast genes; its token must say one of it."""
    subtype = omics.truth["subtype"].to_numpy()
    nearest = placed.assignment.nearest[subtype == "osteoblastic"]
    token = max(set(nearest), key=list(nearest).count)
    cards = token_cards(model, placed, omics.modalities, omics.patients)
    named = {(m.feature, m.difference_sd > 0) for m in cards[token].marks}
    assert named & {("T2_contrast", False), ("T1_contrast", False), ("STIR_contrast", False), ("RUNX2", True),
                    ("BMP7", True), ("SP7", True), ("COL1A1", True), ("IBSP", True), ("BGLAP", True), ("ALPL", True),
                    ("BMP2", True), ("BMP4", True), ("EDN1", True), ("SPARC", True), ("WNT3A", True)}  # fmt: skip
