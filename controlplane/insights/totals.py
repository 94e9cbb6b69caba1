"""How frames of the whole fleet ended since this process began, for Prometheus: counted as their windows are stored."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Mapping
from typing import Any

from controlplane.insights import domain
from controlplane.insights.domain import Latencies, Sums


class Totals:
    """By box and deployment; never by camera, of which there are too many. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[tuple[str, str], Sums] = {}

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows of OutcomeCount by column name, each given once however often its box sent it."""
        with self._lock:
            for row in rows:
                key = row["node_id"], row["deployment"]
                told = Sums(
                    row["counts"],
                    Latencies(**row["box"]),
                    Latencies(**row["cloud"]),
                    row["uplink_bytes"],
                    row.get("stages", {}),
                )
                self._sums[key] = domain.sums([self._sums.get(key, Sums()), told])

    def of(self, nodes: Container[str], deployments: Container[str]) -> dict[tuple[str, str], Sums]:
        """By (box, deployment), of these; what is said of all others is forgotten."""
        with self._lock:
            self._sums = {
                (node, deployment): sums
                for (node, deployment), sums in self._sums.items()
                if node in nodes and deployment in deployments
            }
            return dict(self._sums)
