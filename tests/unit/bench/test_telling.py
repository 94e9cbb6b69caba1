"""How a bench ends: what was missed is said, and the file says which machine it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.telling import told


def test_what_was_missed_is_said_and_is_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told("a table", {"p99": 9}, ["p99 is 9 ms, of 8"], tmp_path / "results" / "bench.json")
    assert capsys.readouterr().out == "a table\nmissed: p99 is 9 ms, of 8\n"
    written = json.loads((tmp_path / "results" / "bench.json").read_text())
    assert written["p99"] == 9
    assert written["machine"]["cores"] > 0


def test_what_holds_is_no_failure_and_nothing_is_kept_unasked() -> None:
    assert not told("a table", {}, [], None)
