"""The books of the whole fleet for Prometheus: by class and state, never by box, so that a thousand boxes are no more
series than one. Which box it is, the pages say, and `longshore verify telemetry`.

`families` is pure; `BooksMetrics` collects for each scrape. While the database is away there is none of this, which is
an alert of its own (deploy/prometheus).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric

from controlplane.books.domain import LATE_MS, Contact, FleetBooks, State
from controlplane.books.service import BooksService
from protos.errors import Retryable

log = logging.getLogger(__name__)
Contacts = Mapping[str, Contact]


class BooksMetrics:
    """A collector of prometheus_client. `contacts`: how each box of the fleet is reached, by name."""

    def __init__(self, books: BooksService, contacts: Callable[[], Contacts]) -> None:
        self._books = books
        self._contacts = contacts

    def collect(self) -> Iterator[Metric]:
        try:
            kept, contacts = self._books.fleet(), self._contacts()
        except Retryable as error:
            log.debug("metrics without the books: %s", error)
            return
        yield from families(kept, contacts, self._books.now_ms)


def families(kept: FleetBooks, contacts: Contacts, now_ms: int) -> Iterator[Metric]:
    records = GaugeMetricFamily(
        "longshore_fleet_telemetry_records",
        "Records that boxes accepted, and where they are: stored, dropped, waiting, unaccounted.",
        labels=("class", "state"),
    )
    for name, sums in kept.classes.items():
        for state in ("accepted", "stored", "dropped", "waiting", "unaccounted"):
            records.add_metric((name or "all", state), getattr(sums, state))
    yield records
    yield _oldest(kept, contacts, now_ms)
    boxes = Counter(each.total.state for each in kept.open.values())
    rest = len(contacts) - len(kept.open.keys() & contacts.keys())
    states = {**{each: boxes[each] for each in State}, State.AT_REST: rest}
    yield _gauge("boxes", "Boxes, by the state of their books.", "state", {each.value: states[each] for each in State})
    conflicts = Counter(each.kind for each in kept.conflicts)
    two_of = {kind: conflicts[kind] for kind in ("record", "start", "outbox")}
    yield _gauge("conflicts", "Signs of two boxes under one name, of the last week.", "kind", two_of)
    silent = GaugeMetricFamily("longshore_fleet_silent_nodes", "Boxes not heard for more than five minutes.")
    silent.add_metric((), sum(_silent(each, now_ms) for each in contacts.values()))
    yield silent


def _oldest(kept: FleetBooks, contacts: Contacts, now_ms: int) -> Metric:
    """Over all boxes. What waits at a box that is away is no fault of the way."""
    oldest: dict[tuple[str, str], float] = {}
    for node, books in kept.open.items():
        link = "connected" if node in contacts and contacts[node].phase == "Online" else "silent"
        for name, sums in books.classes.items():
            if sums.oldest_ms:
                key, seconds = (name or "all", link), max(0, now_ms - sums.oldest_ms) / 1000
                oldest[key] = max(oldest.get(key, 0.0), seconds)
    family = GaugeMetricFamily(
        "longshore_fleet_telemetry_oldest_waiting_seconds",
        "How long the oldest record waits that is not stored, over all boxes.",
        labels=("class", "link"),
    )
    for labels, seconds in sorted(oldest.items()):
        family.add_metric(labels, seconds)
    return family


def _silent(contact: Contact, now_ms: int) -> bool:
    return contact.phase == "Offline" and now_ms - contact.seen_ms > LATE_MS


def _gauge(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"longshore_fleet_telemetry_{name}", meaning, labels=(label,))
    for value, count in values.items():
        family.add_metric((value,), count)
    return family
