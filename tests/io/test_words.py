"""Words in descriptions, in many languages, with boundaries."""

import pytest

from spondyl.io.words import found, normalized


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("t1_tse_sag", "t1"),
        ("Sag T1 FLAIR", "t1"),
        ("sagT2 frFSE", "t2"),
        ("T2W_TSE", "t2"),
        ("tirm_sag", "stir"),
        ("TURBOIRM", "stir"),
        ("STIR_longTE", "stir"),
        ("mDIXON_W", "water"),
        ("t2_tse_dixon_sag_W", "water"),
        ("t2_tse_dixon_sag_opp", "opposed phase"),
        ("SAG LAVA InPhase", "in phase"),
        ("T2 FS", "fat suppressed"),
        ("t1 fatsat", "fat suppressed"),
        ("ep2d_diff_b50_800", "dwi"),
        ("Apparent Diffusion Coefficient", "adc"),
        ("Localizer", "localizer"),
        ("3-plane loc", "localizer"),
        ("Repérage", "localizer"),
        ("Übersicht", "localizer"),
        ("定位", "localizer"),
        ("T1 SAG +C", "after contrast"),
        ("T1 +GD", "after contrast"),
        ("T1 POST", "after contrast"),
        ("t1 nach KM", "after contrast"),
        ("T1 après inj", "after contrast"),
        ("T1 con contraste", "after contrast"),
        ("T1 dopo mdc", "after contrast"),
        ("T1 с контрастом", "after contrast"),
        ("T1 增强", "after contrast"),
        ("T1 造影後", "after contrast"),
        ("T1 조영증강", "after contrast"),
        ("T1 kontrastlı", "after contrast"),
        ("T1 nativ", "before contrast"),
        ("T1 sans inj", "before contrast"),
        ("T1 sin contraste", "before contrast"),
        ("T1 PRE", "before contrast"),
        ("T1 WITHOUT CONTRAST", "before contrast"),
        ("T1 平扫", "before contrast"),
        ("T1 до контраста", "before contrast"),
        ("subtraction", "derived"),
        ("COMPOSED", "composed"),
    ],
)
def test_a_word_is_found(text, name):
    assert name in found(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cervical", "localizer"),
        ("T1 posterior", "after contrast"),
        ("T2 post op", "after contrast"),
        ("T1 sans inj", "after contrast"),
        ("MRI SPINE W WO CONTRAST", "after contrast"),
        ("T1 without contrast", "after contrast"),
        ("t2star", "t2"),
        ("T10 level", "t1"),
        ("T12-S1", "t1"),
        ("sag stirrup T2", "label map"),
        ("sag w fat pad", "after contrast"),
        ("in vivo sag", "in phase"),
        ("pre op T1", "before contrast"),
        ("T1 FLAIR", "t2flair"),
    ],
)
def test_a_word_inside_another_is_not_found(text, name):
    assert name not in found(text)


def test_korean_and_accents_survive_normalization():
    assert normalized("Repérage_조영--T1") == "reperage 조영 t1"
