import pytest

from spondyl.socce.sensitivity import sensitivity


@pytest.mark.slow
def test_other_assumptions_are_tried_and_compared(model, omics):
    some = omics.patients.iloc[:150]
    placed = model.embed(omics.modalities, some)
    found = sensitivity(model, placed, omics.modalities, some, leave_out="site")
    words = [v.assumption for v in found]
    assert words[:4] == [f"{c} not declared" for c in ("coil", "vendor", "field", "site")]
    assert words[4] == "no confounder declared"
    assert sum(v.n_compared for v in found[5:]) == len(some)
    assert all(-1 <= v.agreement <= 1 for v in found)
