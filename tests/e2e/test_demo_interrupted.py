"""Ctrl-C while the demo is still starting ends it too, wherever it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.demo import DemoTree
from tests.servers.ports import listens

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def test_ctrl_c_while_the_release_is_pushed_ends_everything(tmp_path: Path) -> None:
    tree = DemoTree(tmp_path / "state")
    tree.start()
    try:
        tree.until("the control plane listens", lambda: listens(tree.ports["http"]), 60)
        assert tree.stop() < 20
    finally:
        tree.close()
    assert not any(listens(port) for port in tree.ports.values())
