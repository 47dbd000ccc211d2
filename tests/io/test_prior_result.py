"""A result folder comes back as the case that it was written from, or says why it cannot."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fake_case import analyzed_case
from spondyl.core import InputError, Measurement, Structure
from spondyl.io.dicom_results import write_results
from spondyl.io.nifti import write_nifti
from spondyl.io.prior_result import is_result, read_prior_result
from spondyl.io.result import result_document, write_result


def written(case, folder):
    folder.mkdir(exist_ok=True)
    write_results(case, {}, folder / "dicom")
    write_result(result_document(case), folder / "result.json")
    return folder


def bodies(case):
    structures = case.labels["structures"].array
    own = np.where(np.isin(structures, (Structure.BODY, Structure.S1)), case.labels["vertebrae"].array, 0)
    grid = case.labels["vertebrae"].grid
    return {
        int(n): (int((own == n).sum()) * grid.voxel_volume_mm3, grid.ijk_to_lps(np.argwhere(own == n).mean(0)))
        for n in np.unique(own[own > 0])
    }


def test_outlines_and_findings_come_back_where_they_were(tmp_path):
    case = analyzed_case()
    again = read_prior_result(written(case, tmp_path / "then")).case
    assert again.case_id == case.case_id
    assert [(v.level, v.instance) for v in again.vertebrae] == [(v.level, v.instance) for v in case.vertebrae]
    before, after = bodies(case), bodies(again)
    assert before.keys() == after.keys()
    for number, (volume, middle) in before.items():
        assert after[number][0] == pytest.approx(volume, rel=1e-6)
        np.testing.assert_allclose(after[number][1], middle, atol=1e-3)
    for number, lesion in enumerate(case.lesions):
        label = again.lesions[number].label
        assert label == lesion.label
        assert (again.labels["lesions"].array == label).sum() == (case.labels["lesions"].array == label).sum()
    assert dict(again.lesions[0].probabilities) == pytest.approx(dict(case.lesions[0].probabilities))


def test_means_that_were_noted_come_back_without_images(tmp_path):
    from spondyl.lesions.change import mean_adc

    case = analyzed_case()
    noted = replace(case.lesions[0], measurements=(Measurement("adc_mean", 912.0, "10*-6.mm2/s"),))
    again = read_prior_result(written(case.with_(lesions=(noted, *case.lesions[1:])), tmp_path / "then")).case
    assert not again.images
    assert mean_adc(again, again.lesions[0]) == pytest.approx(912.0)


def test_a_picture_that_was_written_beside_the_result_is_used(tmp_path):
    case = analyzed_case()
    folder = written(case, tmp_path / "then")
    (folder / "nifti").mkdir()
    write_nifti(case.images[case.reference], folder / "nifti" / f"{str(case.reference).lower()}.nii.gz")
    again = read_prior_result(folder / "result.json").case
    assert again.reference == case.reference
    np.testing.assert_allclose(
        sorted(again.images[case.reference].grid.shape), sorted(case.images[case.reference].grid.shape)
    )


def test_a_study_is_no_result(tmp_path):
    assert not is_result(tmp_path)
    assert not is_result(tmp_path / "scan.nii.gz")
    assert is_result(written(analyzed_case(), tmp_path / "then"))


def test_missing_outlines_name_the_remedy(tmp_path):
    folder = written(analyzed_case(), tmp_path / "then")
    (folder / "dicom" / "vertebrae.dcm").unlink()
    with pytest.raises(InputError, match="the prior study itself"):
        read_prior_result(folder)


def test_outlines_of_another_result_are_refused(tmp_path):
    folder = written(analyzed_case(), tmp_path / "then")
    document = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    document["lesions"].append(document["lesions"][0] | {"id": 77})
    (folder / "result.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match="do not belong together"):
        read_prior_result(folder)


@pytest.mark.parametrize("text", ["{}", "not json", '{"schema_version": "9.0", "research_use_only": true}'])
def test_a_damaged_or_foreign_result_is_an_input_error(tmp_path, text):
    folder = written(analyzed_case(), tmp_path / "then")
    (folder / "result.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        read_prior_result(folder)
