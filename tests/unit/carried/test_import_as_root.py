"""An import by root into the folder of the agent's user: nothing is written that he could not write himself."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.owned import Owner, owner_of
from agent.carried import importing, waiting
from agent.carried.importing import Box
from agent.config import AgentConfig
from controlplane.cli.exporting import Wish, export
from protos import carried
from protos.errors import Fatal, LongshoreError
from tests.sim import releases
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane
from tests.sim.far_box import Office, files, joined

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root imports for another user")

NOBODY = Owner(65_534, 65_534)
MADE = releases.make("1.0.0", 300_000)


@pytest.fixture
def place() -> Iterator[Path]:
    """Where another user may look."""
    with tempfile.TemporaryDirectory(prefix="longshore-owned-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[SimControlPlane]:
    (tmp_path / "plane").mkdir()
    made = SimControlPlane(tmp_path / "plane", FakeClock(unix=time.time()))
    made.services.trust.keep_fresh()
    yield made
    made.close()


@pytest.fixture
def box(plane: SimControlPlane, place: Path) -> Box:
    state = place / "box"
    state.mkdir(mode=0o700)
    joined(plane, state, "quay-1")
    for path in (state, *state.rglob("*")):
        os.chown(path, NOBODY.user, NOBODY.group)
    return waiting.box(AgentConfig(state_dir=state))


@pytest.fixture
def stick(plane: SimControlPlane, tmp_path: Path) -> Path:
    """For root alone to read."""
    plane.push(MADE)
    spec = {"model": "harbour", "version": "1.0.0"}
    assert plane.client.put("/api/v1/deployments/gate", json={"spec": spec}).status_code == 201
    with Office(plane).client() as client:
        list(export(client, Wish(tmp_path / "stick", ("quay-1",))))
    return tmp_path / "stick"


def test_all_that_is_written_is_the_owners_and_the_stick_is_read_as_root(box: Box, stick: Path) -> None:
    assert importing.take(box, stick, importing.proven(box, stick)) > 0
    found = [box.folder.path, *box.folder.path.rglob("*")]
    assert len(found) > 10
    assert {(path.stat().st_uid, path.stat().st_gid) for path in found} == {(NOBODY.user, NOBODY.group)}
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, os.getgid(), os.getgroups())


WAYS = {
    "its folder": Path(),
    "files": Path(carried.BLOBS),
    "metadata": Path(carried.METADATA),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_link_that_is_planted_after_the_look_leads_to_nothing_that_is_roots(
    box: Box, stick: Path, place: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    elsewhere = place / "elsewhere"
    for folder in WAYS.values():
        (elsewhere / folder).mkdir(parents=True, exist_ok=True)
    brought, looked = importing.proven(box, stick), importing._check_links

    def planted(box: Box) -> None:
        looked(box)
        shutil.rmtree(box.folder.path / WAYS[way])
        (box.folder.path / WAYS[way]).symlink_to(elsewhere / WAYS[way])

    monkeypatch.setattr(importing, "_check_links", planted)
    with pytest.raises(LongshoreError):
        importing.take(box, stick, brought)
    assert files(elsewhere) == []
    assert os.geteuid() == 0


def test_a_report_is_asked_for_and_read_with_the_owners_rights(
    box: Box, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = place / "secret"
    secret.mkdir(mode=0o700)
    (secret / "report").write_bytes(b"of root")
    shutil.rmtree(box.folder.path, ignore_errors=True)
    box.folder.path.symlink_to(secret)
    monkeypatch.setattr(Box, "agent", "1")
    with pytest.raises(LongshoreError):
        waiting.report(box)
    assert [path.name for path in secret.iterdir()] == ["report"]


def test_whoever_may_not_change_users_is_told_to_be_that_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setegid", denied)
    before = os.getgroups()
    with pytest.raises(Fatal, match="run the same as that user"), NOBODY.rights():
        pass
    assert (os.geteuid(), os.getgroups()) == (0, before)


def test_the_owner_of_a_folder_that_is_not_there_is_whoever_asks(tmp_path: Path) -> None:
    assert owner_of(tmp_path / "absent") == Owner(os.geteuid(), os.getegid())
