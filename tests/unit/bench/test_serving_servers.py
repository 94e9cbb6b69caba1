"""A server under measurement is all its processes: they are counted together, and they all end."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.processes import family, runs
from bench.serving.servers import Command, Server
from protos.errors import Retryable


def test_what_a_server_started_in_another_session_ends_with_it(tmp_path: Path) -> None:
    def both_run() -> None:
        if len(family(server.pid)) < 2:
            raise Retryable("its child is not there yet")

    with Server(Command(["sh", "-c", "setsid sleep 60 & exec sleep 60"], tmp_path / "log")) as server:
        server.until(both_run)
        pids = family(server.pid)
        assert server.cpu_seconds() >= 0
        assert server.memory_mb() > 0
    assert [pid for pid in pids if runs(pid)] == []


def test_a_server_that_ends_before_it_answers_is_told_with_its_last_line(tmp_path: Path) -> None:
    def never() -> None:
        raise Retryable("nobody listens")

    words = ["sh", "-c", "echo first; echo no such model; exit 3"]
    with (
        Server(Command(words, tmp_path / "log")) as server,
        pytest.raises(Retryable, match="it ended with 3: no such model"),
    ):
        server.until(never)
