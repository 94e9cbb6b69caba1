"""How a bench ends: what was missed is said, and the file says which machine it was."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agent.bench.figures import Machine
from agent.bench.machine import Meter
from bench.telling import proven, told


def test_what_was_missed_is_said_and_is_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told("a table", {"p99": 9}, ["p99 is 9 ms, of 8"], tmp_path / "results" / "bench.json")
    assert capsys.readouterr().out == "a table\nmissed: p99 is 9 ms, of 8\n"
    written = json.loads((tmp_path / "results" / "bench.json").read_text())
    assert written["p99"] == 9
    assert written["machine"]["cores"] > 0
    assert re.fullmatch(r"([0-9a-f]{12}\+?)?", written["commit"])


def test_what_holds_is_no_failure_and_nothing_is_kept_unasked() -> None:
    assert not told("a table", {}, [], None)


@pytest.mark.parametrize(("others", "judged"), [(0.0, True), (1.5, False)])
def test_a_result_taken_beside_other_work_says_itself_that_it_judges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: float, judged: bool
) -> None:
    monkeypatch.setattr(Meter, "machine", lambda _, cores: Machine("a processor", 2, others))
    path = tmp_path / "bench.json"
    assert proven(lambda: {"missed": []}, lambda _: "a table", path) is not judged
    written = json.loads(path.read_text())
    assert (written["judged"], written["other_cores"]) == (judged, others)
