"""Who takes part in the serving benchmark: who cannot is a row with its reason, and options say who is asked."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench import bench_serving
from bench.serving import environments, workloads
from bench.serving.cells import Limit
from bench.serving.contenders import PEER_NAMES, Contender, Line, Started
from bench.serving.environments import Environment
from bench.serving.load import Target
from bench.serving.rounds import Field, span
from bench.serving.servers import Command
from protos.errors import Retryable

TINY = workloads.WORKLOADS["tiny"]


def stood(contender: Contender, place: Path) -> str:
    """The reason that its row tells."""
    with ExitStack() as stack:
        there = Field(stack, place, {"tiny": TINY.input()}, lambda _: None)
        there.start(contender, place, [TINY])
    return there.standings[0].reason


def test_a_peer_that_cannot_be_installed_is_a_row_with_the_reason(tmp_path: Path) -> None:
    def make(models: Path, own: Path) -> Started:
        raise Retryable("cannot be installed: no network")

    assert stood(Contender("peer", "1.0", make), tmp_path) == "cannot be installed: no network"


def test_a_peer_that_does_not_start_is_a_row_with_its_last_words(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "raise SystemExit('there is no event loop')"]

    def make(models: Path, own: Path) -> Started:
        return Started(Command(words, own / "log"), (Line("peer, HTTP", "binary", Target(1, http2=False)),))

    assert stood(Contender("peer", "1.0", make), tmp_path) == "it ended with 1: there is no event loop"


def test_an_environment_without_its_interpreter_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    with pytest.raises(Retryable, match="no-such-python"):
        environments.ready(Environment("peer", ("nothing",), "/no-such-python"))


@pytest.mark.parametrize(("text", "last"), [("one\ntwo\n\n", "two"), ("", ""), ("x" * 400, "x" * 300)])
def test_the_last_words_of_a_program_are_its_last_line_at_a_readable_length(text: str, last: str) -> None:
    assert environments.last_line(text) == last


def test_all_peers_and_models_are_asked_unless_said_otherwise() -> None:
    full = bench_serving.options_of([])
    assert (full.peers, full.rounds, full.json.name) == (PEER_NAMES, 3, "serving.json")
    assert [each.name for each in bench_serving.plan_of(full).workloads] == ["tiny", "mobilenet", "resnet50"]
    assert bench_serving.plan_of(full).in_flight == (1, 4, 16)


def test_quick_asks_no_peer_and_leaves_the_results_alone() -> None:
    quick = bench_serving.options_of(["--quick"])
    assert (quick.peers, quick.rounds, quick.json) == ((), 1, None)


def test_some_can_be_chosen_and_a_name_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = bench_serving.options_of(["--peers", "triton,fastapi", "--in-flight", "16"])
    assert (chosen.peers, chosen.in_flight) == (("triton", "fastapi"), ("16",))
    assert bench_serving.options_of(["--peers", "none"]).peers == ()
    with pytest.raises(SystemExit):
        bench_serving.options_of(["--peers", "torchserve"])
    assert "'torchserve' is none of fastapi, mlserver, triton" in capsys.readouterr().err


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench_serving.options_of(["--help"])
    assert "python -m bench.bench_serving --quick" in capsys.readouterr().out


@pytest.mark.parametrize(("rate", "in_flight", "seconds"), [(400, 16, 2.0), (10, 16, 3.2), (1, 16, 8.0), (1, 1, 2.0)])
def test_a_cell_takes_longer_where_the_model_is_slow(rate: float, in_flight: int, seconds: float) -> None:
    """Each connection should see some answers; a machine that is too slow must not take all day."""
    assert span(Limit("resnet50", in_flight, rate, 0.0), 2.0) == seconds
