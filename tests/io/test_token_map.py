import numpy as np

from spondyl.io.token_map import MapPoints, token_map


def points(**columns):
    return MapPoints(np.array([[0.0, 0.0], [1.0, 2.0]]), ["<one>", "two"], np.array([0.5, 1.0]), columns)


def test_every_patient_is_a_point_and_every_column_a_choice():
    markup = token_map(points(token=["T1", "T2"], site=["x", "x"]))
    assert markup.count("<circle") == 2
    assert markup.count('type="radio"') == 2
    assert markup.count(" checked>") == 1


def test_no_word_can_become_markup():
    assert "<one>" not in token_map(points(token=["<b>T1</b>", "T2"]))
    assert "<b>" not in token_map(points(token=["<b>T1</b>", "T2"]))


def test_one_place_can_be_pointed_out():
    assert "this patient" in token_map(points(token=["T1", "T2"]), here=(np.array([0.5, 0.5]), "here"))


def test_who_fits_none_has_no_place_of_their_own_on_the_map():
    markup = token_map(points(token=["T1", "reject"]))
    assert markup.count('class="center"') == 1
    assert ">reject</text>" in markup  # in the key
