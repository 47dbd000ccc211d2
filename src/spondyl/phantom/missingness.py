"""Which omics a synthetic cohort lacks, and why: patterns from pure chance to a laboratory that never did a test.

What matters to an analysis is what the gaps depend on (Rubin 1976, Biometrika 63:581). Here they depend on chance, or
on what is recorded of every patient, the site and the size of the lesion; never on the value that is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TABLES = ("mutations", "expression", "pathology")
"""Tables that can be missing; imaging is what every patient has."""

SPREAD = 0.6
"""With site and burden, the share varies between one less this and one plus this times its mean. Chosen by us."""

BLOCKS = 6
"""Parts of a cohort with the `"block"` pattern, such as years in which some tests were done. Chosen by us."""


class Circumstances(NamedTuple):
    """What is recorded of every patient and may decide which tests are done.

    Parameters
    ----------
    site : ndarray of str, shape (n,)
        The hospital.
    log_volume_mm3 : ndarray of float, shape (n,)
        Natural logarithm of the main lesion's volume in mm³: the burden.
    """

    site: NDArray[np.str_]
    log_volume_mm3: Floats


def _random(where: Circumstances, rng: np.random.Generator, share: float) -> Floats:  # noqa: ARG001 - one signature
    return np.full((len(where.site), len(TABLES)), share)


def _site(where: Circumstances, rng: np.random.Generator, share: float) -> Floats:  # noqa: ARG001 - one signature
    number = np.unique(where.site, return_inverse=True)[1]
    tilt = np.linspace(1 - SPREAD, 1 + SPREAD, number.max() + 1)[number]
    return np.repeat(share * tilt[:, None], len(TABLES), axis=1)


def _burden(where: Circumstances, rng: np.random.Generator, share: float) -> Floats:  # noqa: ARG001 - one signature
    """Large lesions are biopsied more often."""
    order = np.argsort(np.argsort(where.log_volume_mm3, kind="stable"), kind="stable")
    place = order / max(len(order) - 1, 1)
    return np.repeat((share * (1 + SPREAD * (1 - 2 * place)))[:, None], len(TABLES), axis=1)


def _site_table(where: Circumstances, rng: np.random.Generator, share: float) -> Floats:
    """Some sites lack a table altogether; no site lacks all, and no table is lacking everywhere."""
    sites, number = np.unique(where.site, return_inverse=True)
    gone = np.zeros((len(sites), len(TABLES)))
    wanted = round(share * gone.size)
    for place in rng.permutation(gone.size):
        s, t = divmod(int(place), len(TABLES))
        if gone.sum() < wanted and gone[s].sum() < len(TABLES) - 1 and gone[:, t].sum() < max(len(sites) - 1, 1):
            gone[s, t] = 1
    return gone[number]


def _block(where: Circumstances, rng: np.random.Generator, share: float) -> Floats:
    """The cohort was gathered in parts, each of which has some tables and lacks others."""
    block = rng.permutation(np.arange(len(where.site)) % BLOCKS)
    gone = np.zeros(BLOCKS * len(TABLES))
    gone[rng.permutation(gone.size)[: round(share * gone.size)]] = 1
    return gone.reshape(BLOCKS, len(TABLES))[block]


_CHANCES: Mapping[str, Callable[[Circumstances, np.random.Generator, float], Floats]] = {
    "random": _random,
    "patient": _random,
    "site": _site,
    "burden": _burden,
    "site_table": _site_table,
    "block": _block,
}

PATTERNS = tuple(_CHANCES)
"""``"random"``: table by table, by chance alone. ``"patient"``: all of a patient's together. ``"site"``: more often in
some sites. ``"burden"``: less often in patients with large lesions. ``"site_table"``: a site lacks a table altogether.
``"block"``: parts of the cohort lack tables together."""


def draw_missing(
    where: Circumstances, rng: np.random.Generator, pattern: str, share: float
) -> tuple[dict[str, Floats], dict[str, NDArray[np.bool_]]]:
    """Draw which tables patients lack.

    Parameters
    ----------
    where : Circumstances
        What is recorded of all patients.
    rng : numpy.random.Generator
        Source of chance.
    pattern : str
        One of `PATTERNS`.
    share : float
        Share of tables that are missing, from 0 to 1; with blocks and whole tables of sites as near as they allow.

    Returns
    -------
    probability : dict of str to ndarray of float, shape (n,)
        How probable it was, by table.
    gone : dict of str to ndarray of bool, shape (n,)
        Whether it is missing.
    """
    chance = np.clip(_CHANCES[pattern](where, rng, share), 0.0, 1.0)
    n = len(where.site)
    if pattern == "patient":
        u = np.repeat(rng.random(n)[:, None], len(TABLES), axis=1)
    else:
        u = np.column_stack([rng.random(n) for _ in TABLES])
    return (
        {name: chance[:, i] for i, name in enumerate(TABLES)},
        {name: u[:, i] < chance[:, i] for i, name in enumerate(TABLES)},
    )
