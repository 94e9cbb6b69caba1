"""Runs for Prometheus: those that go on, and for an hour those that are over. What was deleted has no series any more.

Labels are bounded: so many Runs, and of each the metrics its recipe tells (progress.MOST_METRICS).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from controlplane.ports import Clock
from controlplane.training.domain import Run
from controlplane.training.service import TrainingService
from protos.errors import Retryable

RECENT_MS = 3_600_000
MOST_RUNS = 20
RUN = ("run", "recipe")

log = logging.getLogger(__name__)


class RunMetrics:
    """A collector of prometheus_client."""

    def __init__(self, training: TrainingService, clock: Clock) -> None:
        self._training = training
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        try:
            runs = self._training.runs()
        except Retryable as error:
            log.debug("metrics without runs: %s", error)
            return
        yield from families(runs, int(self._clock.unix() * 1000))


def families(runs: Sequence[Run], now_ms: int) -> Iterator[Metric]:
    counted = Counter(run.phase.value for run in runs)
    phases = GaugeMetricFamily("longshore_runs", "Runs, by phase.", labels=("phase",))
    for phase, count in sorted(counted.items()):
        phases.add_metric((phase,), count)
    yield phases
    shown = _shown(runs, now_ms)
    ratio = GaugeMetricFamily("longshore_run_progress_ratio", "How far the training is, 0 to 1.", labels=RUN)
    loss = GaugeMetricFamily("longshore_run_loss", "Newest loss of the training.", labels=RUN)
    metrics = GaugeMetricFamily("longshore_run_metric", "Newest of what the recipe measures.", labels=(*RUN, "metric"))
    for run in shown:
        labels = (run.name, run.recipe)
        ratio.add_metric(labels, run.progress.ratio)
        if run.progress.loss is not None:
            loss.add_metric(labels, run.progress.loss)
        for name, value in sorted(run.progress.metrics.items()):
            metrics.add_metric((*labels, name), value)
    yield from (ratio, loss, metrics)


def _shown(runs: Iterable[Run], now_ms: int) -> list[Run]:
    """The newest that began."""
    recent = [run for run in runs if run.started_ms and (not run.finished or now_ms - run.ended_ms < RECENT_MS)]
    return recent[-MOST_RUNS:]
