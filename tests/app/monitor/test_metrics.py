"""What Prometheus is told: how fast it goes, and whether sequences, scanners or scores drift; nobody is named."""

import pytest
from prometheus_client import generate_latest

from spondyl.app.catalog import StudyState, Urgency
from spondyl.app.jobs import summary
from spondyl.app.monitor.metrics import registry
from spondyl.app.node.service import NodeService
from spondyl.app.serve_settings import ServeSettings


def document(*, malignant, category, sequence="T2"):
    """A result with one lesion and one score."""
    score = {"code": "sins", "category": category, "value": 7}
    lesion = {"probabilities": {"malignant": malignant}}
    acquisition = {"vendor": "Vendor", "model": "Model", "field_strength_t": 1.5}
    return {
        "lesions": [lesion],
        "vertebrae": [{"level": "L1", "level_uncertain": True}],
        "scores": [score, score | {"category": None}, {"category": "no code"}],
        "sequences": [{"sequence": sequence, "acquisition": acquisition}],
        "timings_s": {"localize": 2.0},
    }


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    service = NodeService(ServeSettings(data=tmp_path_factory.mktemp("node") / "data", dicom_port=0, min_free_mib=0))
    for number, (malignant, category) in enumerate([(0.93, "stable"), (0.03, "unstable"), (0.04, "unstable")]):
        result = document(malignant=malignant, category=category)
        key = service.folder.study_key(f"1.{number}")
        service.catalog.receive(key)
        known = summary.numbers(result) | {"last_instance_at": 100.0, "analyzed_at": 104.0, "returned_at": 106.0}
        service.catalog.set_state(
            key,
            StudyState.DONE,
            urgency=str(Urgency.ROUTINE),
            case_id=f"case-{number}",
            sequences=summary.sequences(result),
            scanner=summary.scanner(result),
            summary=known,
        )
    yield generate_latest(registry(service)).decode()
    service.queue.close()
    service.catalog.close()


@pytest.mark.parametrize(
    "line",
    [
        'spondyl_studies{state="done"} 3.0',
        'spondyl_latency_seconds_bucket{le="5.0"} 0.0',
        'spondyl_latency_seconds_bucket{le="10.0"} 3.0',
        "spondyl_latency_seconds_sum 18.0",
        'spondyl_part_seconds_total{part="localize"} 6.0',
        'spondyl_sequences{sequence="T2"} 3.0',
        'spondyl_scanners{scanner="Vendor Model 1.5 T"} 3.0',
        'spondyl_most_malignant_probability_bucket{le="0.05"} 2.0',
        'spondyl_most_malignant_probability_bucket{le="1.0"} 3.0',
        'spondyl_scores{category="unstable",score="sins"} 2.0',
        'spondyl_scores{category="stable",score="sins"} 1.0',
        'spondyl_scores{category="not assessable",score="sins"} 3.0',
        "spondyl_uncertain_levels_per_study_sum 3.0",
        "spondyl_dead_letters 0.0",
    ],
)
def test_each_number_is_told(text, line):
    assert line in text.splitlines()


def test_a_score_without_categories_yet_is_no_drift():
    assert summary.numbers({})["scores"] == {}
