"""Joining from the command line: a box that cannot keep its identity does not spend its token."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.adapters import files
from agent.config import AgentConfig
from agent.joining import join
from protos.errors import Fatal, LongshoreError

TOKEN = "LS1." + "a" * 64 + ".abcdefgh." + "S" * 43


def test_a_state_directory_that_is_a_file_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    in_the_way = tmp_path / "state"
    in_the_way.write_text("no directory")
    with pytest.raises(LongshoreError, match="state"):
        join(AgentConfig(state_dir=in_the_way), "https://127.0.0.1:1", TOKEN, "box", {})


def test_a_directory_that_may_not_be_written_names_the_flag() -> None:
    nobody_may = Path("/sys/longshore-agent")
    with pytest.raises(Fatal, match="--state-dir"):
        join(AgentConfig(state_dir=nobody_may), "https://127.0.0.1:1", TOKEN, "box", {})


def test_a_writable_directory_is_left_empty(tmp_path: Path) -> None:
    files.check_writable(tmp_path / "identity")
    assert list((tmp_path / "identity").iterdir()) == []
