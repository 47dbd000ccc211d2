"""Free response by reader and modality."""

import numpy as np
import pytest

from spondyl.core import InputError
from spondyl.evaluation.free_response import FigureOfMerit
from spondyl.evaluation.mrmc_figures import analyze_figures
from spondyl.evaluation.mrmc_marks import Mark, marked_figures

READERS, MODALITIES = ("A", "B", "C"), ("unaided", "aided")


def _drawn(seed, n_cases=24):
    """Half of the cases have one or two lesions; the aided modality finds more of them."""
    rng = np.random.default_rng(seed)
    cases = [f"C{i}" for i in range(n_cases)]
    lesions = {c: tuple(f"L{k}" for k in range(rng.integers(1, 3))) for c in cases[::2]}
    marks, read = [], []
    for reader in READERS:
        for modality, chance in zip(MODALITIES, (0.5, 0.8), strict=True):
            for case in cases:
                read.append((reader, case, modality))
                hit = [lesion for lesion in lesions.get(case, ()) if rng.random() < chance]
                marks += [Mark(reader, case, modality, lesion, float(rng.normal(1.5))) for lesion in hit]
                if rng.random() < 0.4:
                    marks.append(Mark(reader, case, modality, "", float(rng.normal())))
    return marks, lesions, read


def _wafroc(marks, lesions, read, reader, modality):
    """The definition: pairs of a diseased and a normal case, lesions of a case weighing 1 together."""
    cases = [c for r, c, m in read if (r, m) == (reader, modality)]
    own = [m for m in marks if (m.reader, m.modality) == (reader, modality)]

    def best(case, lesion):
        return max([m.score for m in own if (m.case, m.lesion) == (case, lesion)], default=-np.inf)

    total = 0.0
    normal, diseased = [c for c in cases if c not in lesions], [c for c in cases if c in lesions]
    for x in diseased:
        for y in normal:
            false = best(y, "")
            for lesion in lesions[x]:
                hit = best(x, lesion)
                total += (1.0 if hit > false else 0.5 if hit == false else 0.0) / len(lesions[x])
    return total / len(normal) / len(diseased)


def test_each_figure_is_that_of_the_definition():
    marks, lesions, read = _drawn(1_000_001)
    made = marked_figures(marks, lesions, read)
    for i, modality in enumerate(made.modalities):
        for j, reader in enumerate(made.readers):
            assert made.values[i, j] == pytest.approx(_wafroc(marks, lesions, read, reader, modality), rel=1e-12)


@pytest.mark.parametrize("figure", list(FigureOfMerit))
def test_all_figures_go_through_the_analysis(figure):
    result = analyze_figures(marked_figures(*_drawn(1_000_002, 60), figure))
    assert result.metric == str(figure)
    assert result.differences[0].value < 0  # unaided minus aided
    assert 0 < result.overall.p_value < 1
    assert (result.n_positive, result.n_negative) == (30, 30)


def test_the_covariance_is_near_the_jackknife():
    marks, lesions, read = _drawn(1_000_003, 60)
    whole = marked_figures(marks, lesions, read)
    left = [
        marked_figures(
            [m for m in marks if m.case != case],
            {c: names for c, names in lesions.items() if c != case},
            [r for r in read if r[1] != case],
        ).values.ravel()
        for case in dict.fromkeys(c for _, c, _ in read)
    ]
    n = len(left)
    jackknife = (n - 1) ** 2 / n * np.cov(np.array(left).T)
    np.testing.assert_allclose(np.diag(jackknife), np.diag(whole.covariance.reshape(6, 6)), rtol=0.06)


def test_incomplete_and_odd_marks_are_refused():
    marks, lesions, read = _drawn(1_000_004)
    with pytest.raises(InputError, match="1 readings are missing"):
        marked_figures(marks, lesions, read[:-1])
    with pytest.raises(InputError, match="belongs to no reading"):
        marked_figures([*marks, Mark("D", "C1", "aided", "", 1.0)], lesions, read)
    with pytest.raises(InputError, match="a lesion that its case does not have"):
        marked_figures([*marks, Mark("A", "C1", "aided", "L9", 1.0)], lesions, read)
    with pytest.raises(InputError, match="with and without lesions"):
        marked_figures([], {}, read)
