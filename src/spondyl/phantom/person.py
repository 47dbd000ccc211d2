"""Who the synthetic patient is: age and sex, on which bones, marrow and discs depend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spondyl.core import SettingsError

CHILD_SHARE = 0.03
"""Share of patients between 2 and 17 years where nothing speaks against a child. Chosen by us."""

ADULT_AGE_YEARS = (60.0, 14.0)
"""Mean and standard deviation of adults' age in years: spinal metastases and worn backs peak there. Chosen by us."""

STATURE_BY_AGE = ((2.0, 0.50), (6.0, 0.66), (10.0, 0.79), (14.0, 0.93), (18.0, 1.0))
"""Stature over the adult's, by age in years (CDC growth charts 2000, median of boys and girls)."""


@dataclass(frozen=True)
class Person:
    """Age and sex.

    Parameters
    ----------
    age_years : float
        Age in years.
    female : bool
        Sex of the patient.
    """

    age_years: float
    female: bool

    @property
    def sex(self) -> str:
        """``"F"`` or ``"M"``."""
        return "F" if self.female else "M"

    @property
    def growth(self) -> float:
        """Stature over the adult's."""
        ages, shares = zip(*STATURE_BY_AGE, strict=True)
        return float(np.interp(self.age_years, ages, shares))

    @property
    def wear(self) -> float:
        """Mean degeneration of the discs at this age, 0 to 1: a straight line from 20 to 95 years. Chosen by us."""
        return float(np.clip((self.age_years - 20) / 75, 0, 1))


def sample_person(
    rng: np.random.Generator, *, malignant: bool = False, age_years: float | None = None, female: bool | None = None
) -> Person:
    """Draw age and sex.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    malignant : bool, optional
        Whether the patient has malignant disease for sure: then older than 38 years here.
    age_years : float, optional
        Age in years, from 2 to 105; drawn where it is None.
    female : bool, optional
        Sex; drawn where it is None.

    Returns
    -------
    Person
        Age and sex.

    Raises
    ------
    SettingsError
        If the age is out of range.
    """
    child, young, draw = rng.random() < CHILD_SHARE, rng.uniform(2, 17), rng.normal(*ADULT_AGE_YEARS)
    drawn_female = bool(rng.random() < 0.5)
    if age_years is None:
        age_years = float(young if child and not malignant else np.clip(draw, 38.0 if malignant else 18.0, 92.0))
    elif not 2 <= age_years <= 105:
        msg = f"age_years must lie between 2 and 105, got {age_years}"
        raise SettingsError(msg)
    return Person(float(age_years), drawn_female if female is None else female)
