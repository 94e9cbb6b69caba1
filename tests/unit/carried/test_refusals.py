"""What `import` and `report` refuse before they look at a stick or wait for an agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.carried import waiting
from agent.config import AgentConfig
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
