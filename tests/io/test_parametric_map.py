"""Derived maps come back value by value."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
import pytest

from dicom_fakes import PLANES, classic_source, fake_case, source_grid
from spondyl.core import OutputError
from spondyl.io.dicom_results import write_results
from spondyl.io.parametric_map import SALIENCY, parametric_map
from spondyl.io.reference import reference_series


@pytest.mark.parametrize("plane", PLANES)
def test_values_come_back_in_place_from_every_plane(plane, tmp_path):
    grid = source_grid(plane)
    source = classic_source(grid, shuffle_seed=2)
    case = fake_case(grid, source, orientation="PSR")
    written = write_results(case, {source.series_uid: source}, tmp_path)
    volume = hd.imread(written.files["saliency.dcm"]).get_volume()
    given = case.maps["saliency"]
    indices = np.random.default_rng(1).integers(0, given.grid.shape, (50, 3))
    found = volume.map_reference_to_indices(given.grid.ijk_to_lps(indices))
    np.testing.assert_allclose(found, found.round(), atol=1e-5)
    values = volume.array[tuple(found.round().astype(int).T)]
    np.testing.assert_array_equal(values.astype(np.float32), given.array[tuple(indices.T)])


def test_a_map_says_what_its_values_are():
    case = fake_case(source_grid("sagittal"))
    result = parametric_map(case, reference_series(case, {}), SALIENCY)
    shared = result.SharedFunctionalGroupsSequence[0]
    mapping = shared.RealWorldValueMappingSequence[0]
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == "130404"
    derivation = result.PerFrameFunctionalGroupsSequence[0].get("DerivationImageSequence")
    assert derivation[0].DerivationCodeSequence[0].CodeValue == "130404"
    assert result.ContentQualification == "RESEARCH"
    assert "FloatPixelData" in result


@pytest.mark.parametrize("bad", [1.5, -0.1, np.nan])
def test_values_outside_their_range_are_refused(bad):
    case = fake_case(source_grid("sagittal"))
    array = case.maps["saliency"].array.copy()
    array[0, 0, 0] = bad
    case = case.with_(maps={"saliency": replace(case.maps["saliency"], array=array)})
    with pytest.raises(OutputError, match="values from 0 to 1"):
        parametric_map(case, reference_series(case, {}), SALIENCY)
