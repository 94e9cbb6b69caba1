"""What `import` and `report` refuse before they look at a stick or wait for an agent."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.carried import waiting
from agent.config import AgentConfig
from agent.main import cli
from protos.errors import Rejected


@pytest.mark.parametrize("there", [True, False])
def test_a_box_that_has_not_joined_is_told_so_whether_it_has_a_folder_or_not(tmp_path: Path, *, there: bool) -> None:
    config = AgentConfig(state_dir=tmp_path / "state")
    if there:
        config.state_dir.mkdir()
    with pytest.raises(Rejected, match="has not joined a control plane; run 'longshore-agent join"):
        waiting.box(config)


def test_a_report_that_could_be_written_nowhere_is_refused_before_the_agent_is_asked(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"nothing can be written to .*nowhere; name a file elsewhere with -o"):
        waiting.write_report(AgentConfig(state_dir=tmp_path), tmp_path / "nowhere" / "quay.report")


def test_a_report_that_cannot_be_written_names_the_option_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "box", lambda _: None)
    monkeypatch.setattr(waiting, "report", lambda _: b"report")
    (tmp_path / "file").touch()
    with pytest.raises(Rejected, match=r"cannot be written \(Not a directory\); name a file elsewhere with -o"):
        waiting.write_report(AgentConfig(state_dir=tmp_path), tmp_path / "file" / "quay.report")


@pytest.mark.parametrize("seconds", ["nan", "inf"])
def test_an_import_waits_for_no_time_that_never_ends(tmp_path: Path, seconds: str) -> None:
    refused = CliRunner().invoke(cli, ["import", str(tmp_path), "--wait", seconds])
    assert (refused.exit_code, "'--wait': " in refused.output) == (2, True)
