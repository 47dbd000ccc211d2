"""Metrics for Prometheus, made when asked for: counts of the node, and what the catalog knows of finished studies.

Latency, queue, and what drifts: sequences, scanners, and the scores themselves. A change in any of them after an update
of a scanner or a protocol is the first sign that results may no longer mean what they did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from spondyl.app.jobs.ledger import DeliveryState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.core import Metric

    from spondyl.app.catalog import StudyRow
    from spondyl.app.node.service import NodeService

SECONDS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
"""Upper bounds of times, in s."""

PROBABILITY = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Upper bounds of probabilities."""

COUNT = (0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0)
"""Upper bounds of counts."""

WATCHED: tuple[tuple[str, str, str, tuple[float, ...]], ...] = (
    ("analysis_seconds", "Time of an analysis, in s.", "analysis_s", SECONDS),
    ("most_malignant_probability", "Highest probability of malignancy in a study.", "most_malignant", PROBABILITY),
    ("lesions_per_study", "Lesion candidates in a study.", "n_lesions", COUNT),
    ("vertebrae_per_study", "Vertebrae in a study.", "n_vertebrae", COUNT),
    ("uncertain_levels_per_study", "Vertebrae in a study whose level is uncertain.", "n_levels_uncertain", COUNT),
    ("quality_flags_per_study", "Quality flags of a study.", "n_flags", COUNT),
)
"""Metric, what it says, the number of `StudyRow.summary` it is made of, and its bounds."""


def registry(service: NodeService) -> CollectorRegistry:
    """Give the metrics of a node.

    Parameters
    ----------
    service : NodeService
        The node.

    Returns
    -------
    CollectorRegistry
        Asks the node each time.
    """
    made = CollectorRegistry(auto_describe=False)
    made.register(_Collector(service))
    return made


class _Collector(Collector):
    def __init__(self, service: NodeService) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        yield from _door(self._service)
        rows = self._service.catalog.list()
        yield from _states(self._service)
        yield from _times(rows)
        yield from _drift(rows)


def _door(service: NodeService) -> Iterator[Metric]:
    objects = CounterMetricFamily("spondyl_objects", "Objects received, by what became of them.", labels=["outcome"])
    for outcome, count in service.intake.counts.items():
        objects.add_metric([outcome], count)
    yield objects
    yield CounterMetricFamily("spondyl_received_bytes", "Bytes received.", value=service.intake.received_bytes)
    ends = CounterMetricFamily("spondyl_associations", "DICOM associations, by how they went.", labels=["outcome"])
    for outcome, count in service.node.counts.items():
        ends.add_metric([outcome], count)
    yield ends
    yield GaugeMetricFamily("spondyl_associations_open", "DICOM associations now.", value=service.node.n_associations)
    yield GaugeMetricFamily("spondyl_studies_arriving", "Studies that are coming now.", value=len(service.arrivals))


def _states(service: NodeService) -> Iterator[Metric]:
    states = GaugeMetricFamily("spondyl_studies", "Studies by state.", labels=["state"])
    for state, count in service.catalog.counts().items():
        states.add_metric([state], count)
    yield states
    jobs = GaugeMetricFamily("spondyl_jobs_waiting", "Jobs that wait or run, by queue.", labels=["queue"])
    for queue, count in service.queue.waiting().items():
        jobs.add_metric([queue], count)
    yield jobs
    dead = len(service.ledger.in_state(DeliveryState.DEAD))
    yield GaugeMetricFamily("spondyl_dead_letters", "Deliveries that were given up.", value=dead)
    yield GaugeMetricFamily("spondyl_workers", "Workers that live.", value=service.ledger.alive())


def _times(rows: list[StudyRow]) -> Iterator[Metric]:
    whole = [_between(row.summary, "last_instance_at", ("returned_at", "analyzed_at")) for row in rows]
    yield _histogram("latency_seconds", "From the last instance to the end of delivery, in s.", whole, SECONDS)
    parts: dict[str, list[float]] = {}
    for row in rows:
        for part, seconds in dict(row.summary.get("timings_s", {})).items():
            parts.setdefault(str(part), []).append(float(seconds))
    spent = CounterMetricFamily("spondyl_part_seconds", "Time spent, by part of the analysis, in s.", labels=["part"])
    for part, values in parts.items():
        spent.add_metric([part], sum(values))
    yield spent


def _drift(rows: list[StudyRow]) -> Iterator[Metric]:
    seen = GaugeMetricFamily("spondyl_sequences", "Studies that hold a sequence.", labels=["sequence"])
    for name, count in _tally(s for row in rows for s in row.sequences).items():
        seen.add_metric([name], count)
    yield seen
    scanners = GaugeMetricFamily("spondyl_scanners", "Studies by kind of scanner.", labels=["scanner"])
    for name, count in _tally(row.scanner for row in rows if row.case_id).items():
        scanners.add_metric([name], count)
    yield scanners
    urgencies = GaugeMetricFamily("spondyl_urgencies", "Studies by urgency.", labels=["urgency"])
    for name, count in _tally(str(row.urgency) for row in rows).items():
        urgencies.add_metric([name], count)
    yield urgencies
    scores = GaugeMetricFamily("spondyl_scores", "Scores by their category.", labels=["score", "category"])
    for score, category in sorted({(s, c) for row in rows for s, found in _scores(row).items() for c in found}):
        scores.add_metric([score, category], sum(_scores(row).get(score, {}).get(category, 0) for row in rows))
    yield scores
    for name, meaning, field, bounds in WATCHED:
        yield _histogram(name, meaning, [row.summary.get(field) for row in rows], bounds)


def _between(summary: Mapping[str, Any], start: str, ends: tuple[str, ...]) -> float | None:
    end = next((summary[name] for name in ends if name in summary), None)
    return None if end is None or start not in summary else max(0.0, float(end) - float(summary[start]))


def _scores(row: StudyRow) -> Mapping[str, Mapping[str, int]]:
    return dict(row.summary.get("scores", {}))


def _tally(words: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return found


def _histogram(
    name: str, meaning: str, values: Iterable[float | None], bounds: tuple[float, ...]
) -> HistogramMetricFamily:
    known = [float(v) for v in values if v is not None]
    buckets = [(str(b), float(sum(v <= b for v in known))) for b in bounds]
    family = HistogramMetricFamily(f"spondyl_{name}", meaning)
    family.add_metric([], [*buckets, ("+Inf", float(len(known)))], sum(known))
    return family
