"""Is one not worse, or the same, within a margin that was fixed beforehand: non-inferiority and equivalence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from spondyl.core.errors import SettingsError
from spondyl.evaluation.comparison import tango_interval, tango_statistic
from spondyl.evaluation.inputs import normal_quantile, two_sided_p
from spondyl.evaluation.records import Difference, Record

ALPHA = 0.05
"""Level of a test against a margin, one-sided (CPMP/EWP/482/99 asks for 0.025 in confirmatory trials)."""


@dataclass(frozen=True)
class MarginTest(Record):
    """A difference tested against a margin that was fixed beforehand.

    Parameters
    ----------
    kind : str
        ``"non-inferiority"``, ``"superiority by a margin"`` or ``"equivalence"``.
    margin : float
        The margin, above 0.
    value : float
        The difference, first less second.
    low, high : float
        Its interval at twice `alpha`: what the test looks at.
    statistic : float
        Standard normal at the margin; for equivalence, the one nearer to it.
    p_value : float
        One-sided; for equivalence, the larger of both sides.
    alpha : float
        Level of the test.
    shown : bool
        Whether the test shows what it set out to.
    """

    kind: str
    margin: float
    value: float
    low: float
    high: float
    statistic: float
    p_value: float
    alpha: float
    shown: bool


def non_inferiority(
    difference: Difference, margin: float, *, higher_is_better: bool = True, alpha: float = ALPHA
) -> MarginTest:
    """Test whether the first is worse than the second by less than a margin.

    Parameters
    ----------
    difference : Difference
        First less second, with its standard error.
    margin : float
        Largest loss that one is willing to accept, above 0, fixed before the data were seen.
    higher_is_better : bool, optional
        False for errors and distances.
    alpha : float, optional
        One-sided level.

    Returns
    -------
    MarginTest
        Non-inferiority is shown where the worse end of the interval lies inside the margin.

    Raises
    ------
    SettingsError
        If the margin is not above 0 or the level does not lie inside 0 to 0.5.

    References
    ----------
    Piaggio 2012, CONSORT extension for non-inferiority and equivalence, doi 10.1001/jama.2012.87802.
    """
    sign = 1 if higher_is_better else -1
    z = _z_at(sign * difference.value + _margin(margin, alpha), difference.standard_error)
    return _margin_test("non-inferiority", difference, margin, z, alpha)


def equivalence(difference: Difference, margin: float, *, alpha: float = ALPHA) -> MarginTest:
    """Test whether two differ by less than a margin in either direction.

    Parameters
    ----------
    difference : Difference
        First less second, with its standard error.
    margin : float
        Largest difference that does not matter, above 0, fixed before the data were seen.
    alpha : float, optional
        Level of each of the two one-sided tests.

    Returns
    -------
    MarginTest
        Equivalence is shown where the whole interval lies inside the margin.

    Raises
    ------
    SettingsError
        If the margin is not above 0 or the level does not lie inside 0 to 0.5.

    References
    ----------
    Schuirmann 1987, two one-sided tests, doi 10.1007/BF01068419.
    """
    z = _z_at(_margin(margin, alpha) - abs(difference.value), difference.standard_error)
    return _margin_test("equivalence", difference, margin, z, alpha)


def non_inferior_shares(
    first_only: int, second_only: int, n: int, margin: float, *, alpha: float = ALPHA
) -> MarginTest:
    """Test non-inferiority of a share on the same cases by the score, which holds its level in small samples.

    Parameters
    ----------
    first_only, second_only : int
        Cases that only the first, or only the second, answered rightly.
    n : int
        All cases.
    margin : float
        Largest loss of the first that one is willing to accept, inside 0 to 1.
    alpha : float, optional
        One-sided level.

    Returns
    -------
    MarginTest
        Tango's test and interval.

    Raises
    ------
    SettingsError
        If the margin does not lie inside 0 to 1 or the level inside 0 to 0.5.

    References
    ----------
    Tango 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B.
    """
    if not margin < 1:
        msg = f"margin of a share must lie inside 0 to 1, got {margin}"
        raise SettingsError(msg)
    z = tango_statistic(first_only, second_only, n, -_margin(margin, alpha))
    low, high = tango_interval(first_only, second_only, n, 1 - 2 * alpha)
    p = NormalDist().cdf(-z)
    value = (first_only - second_only) / n
    return MarginTest("non-inferiority", margin, value, low, high, z, p, alpha, p < alpha)


def _margin(margin: float, alpha: float) -> float:
    if not (math.isfinite(margin) and margin > 0):
        msg = f"margin must be above 0, got {margin}"
        raise SettingsError(msg)
    if not 0 < alpha < 0.5:
        msg = f"alpha must lie inside 0 to 0.5, got {alpha}"
        raise SettingsError(msg)
    return margin


def _z_at(gap: float, error: float) -> float:
    if error > 0:
        return gap / error
    return math.copysign(math.inf, gap) if gap else 0.0


def _margin_test(kind: str, difference: Difference, margin: float, z: float, alpha: float) -> MarginTest:
    half = normal_quantile(1 - 2 * alpha) * difference.standard_error
    p = float(two_sided_p(z) / 2) if z >= 0 else 1 - float(two_sided_p(z) / 2)
    return MarginTest(
        kind, margin, difference.value, difference.value - half, difference.value + half, z, p, alpha, p < alpha
    )
