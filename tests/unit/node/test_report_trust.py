"""What a Sync tells of signed metadata."""

from __future__ import annotations

from pathlib import Path

from agent import report
from agent.report import Addresses, Box
from agent.trust.freshness import View
from protos.fleet_pb2 import TrustReport


def told(folder: Path, proven: View) -> TrustReport:
    return report.request(Box("edge", "boot", folder, Addresses(), ()), "epoch", [], {}, [], proven=proven).trust


def test_versions_and_times_of_what_was_last_proven_are_told(tmp_path: Path) -> None:
    proven = View(2, 7, 1_000.5, {"root": 9_000.0, "timestamp": 2_000.0})
    expected = TrustReport(root_version=2, timestamp_version=7, refreshed_unix_ms=1_000_500, expires_unix_ms=2_000_000)
    assert told(tmp_path, proven) == expected


def test_a_box_that_has_proven_nothing_tells_noughts(tmp_path: Path) -> None:
    assert told(tmp_path, View(0, 0, 0.0, {})) == TrustReport()
