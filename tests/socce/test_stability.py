from spondyl.socce.stability import resampled, token_stability


def test_tokens_hold_when_patients_are_drawn_again(model, omics):
    found = token_stability(model, omics.modalities, omics.patients, n_resamples=2)
    assert found.mean_ari > 0.6
    assert len(found.overlap) == len(model.codebook_.weights)


def test_a_patient_drawn_twice_keeps_all_tables(omics):
    one = omics.modalities["mutations"].index[0]
    patients, tables = resampled(omics.modalities, omics.patients, omics.patients.index[[0, 0]].repeat(1))
    assert len(patients) == 2
    drawn = omics.patients.index[[omics.patients.index.get_loc(one)] * 2]
    _, tables = resampled(omics.modalities, omics.patients, drawn)
    assert len(tables["mutations"]) == 2
