from __future__ import annotations

import pytest

from spondyl.phantom.biology import CONFOUNDERS, simulate_omics_cohort
from spondyl.socce.encoder import SOCCE
from spondyl.socce.graph import ConfounderGraph


@pytest.fixture(scope="session")
def omics():
    """A cohort of 300 with known subtypes."""
    return simulate_omics_cohort(300, 2_000_001)


@pytest.fixture(scope="session")
def model(omics):
    """SOCCE learned from it."""
    return SOCCE(ConfounderGraph.usual(CONFOUNDERS)).fit(omics.modalities, omics.patients)


@pytest.fixture(scope="session")
def placed(model, omics):
    """The cohort in its own embedding."""
    return model.embed(omics.modalities, omics.patients)
