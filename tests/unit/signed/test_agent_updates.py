"""The agent's own update goes by signed metadata, and a release that needs a newer agent waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.adapters.berths_disk import DiskBerths
from agent.berths.choice import Choice
from agent.berths.machine import State
from agent.trust.agreement import Kind
from agent.update import machine
from protos.ids import ModelName, Version
from protos.manifest import AGENT, AGENT_MODEL
from protos.trust import Listing
from tests.sim import agent_releases, releases, signed_box
from tests.sim.agent_box import AGENTS, AgentBox, quickly
from tests.sim.releases import MadeRelease
from tests.sim.signed_box import SignedBox
from tests.sim.signed_repository import SignedRepository
from tests.sim.signed_update import UpdatedBox

OLD, NEW, THIEFS = (agent_releases.make(version) for version in ("0.3.0", "0.3.1", "0.3.9"))


class Fleet:
    """A repository, and a box whose agent asks it."""

    def __init__(self, folder: Path) -> None:
        self.repository = SignedRepository()
        self.known = SignedBox(folder / "known", self.repository)
        self.box = AgentBox(folder / "box", trust=self.known.trust)
        self.box.blobs.add(OLD, NEW, THIEFS)

    def listed(self, made: MadeRelease, version: str, **more: object) -> Listing:
        size = len(made.manifest)
        known = {"model": ModelName(AGENT_MODEL), "version": Version(version), "task": AGENT} | more
        return self.repository.describe(made.digest, size, **known)

    def deploy(self, listing: Listing) -> None:
        self.repository.assign(listing, AGENTS)
        self.repository.publish()
        self.known.trust._current = False

    @property
    def choice(self) -> Choice:
        return DiskBerths(self.box.folder, "").choice()


@pytest.fixture
async def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    quickly(monkeypatch)
    made = Fleet(tmp_path)
    yield made
    await made.known.close()


async def test_an_agent_that_is_listed_and_assigned_is_installed(fleet: Fleet) -> None:
    fleet.deploy(fleet.listed(NEW, "0.3.1"))
    report = await fleet.box.lives(NEW, "0.3.1")
    assert (report.state, report.active) == (State.IDLE, NEW.digest)


async def test_an_agent_that_nobody_signed_is_waited_for_whoever_asks_for_it(fleet: Fleet) -> None:
    report = await fleet.box.lives(NEW, "0.3.1", until=State.PULLING)
    assert (report.state, report.active, fleet.choice) == (State.PULLING, "", Choice())


async def test_a_thief_of_the_online_keys_brings_no_agent_of_his_own(fleet: Fleet) -> None:
    """He assigns what he likes; no release key listed it."""
    honest = fleet.listed(NEW, "0.3.1")
    forged = Listing(AGENT_MODEL, Version("0.3.1"), THIEFS.digest, len(THIEFS.manifest), 9, AGENT)
    fleet.deploy(forged)
    report = await fleet.box.lives(THIEFS, "0.3.1")
    assert (report.state, report.active, fleet.choice) == (State.FAILED, "", Choice())
    assert report.message.startswith("assign-disagrees")
    fleet.deploy(honest)
    assert (await fleet.box.lives(NEW, "0.3.1")).active == NEW.digest


async def test_an_agent_below_the_floor_or_for_other_boxes_is_refused_by_name(fleet: Fleet) -> None:
    old = fleet.listed(OLD, "0.3.0", number=1)
    fleet.listed(NEW, "0.3.1", number=2, floor=2)
    fleet.deploy(old)
    assert "floor" in (await fleet.box.lives(OLD, "0.3.0")).message
    fleet.deploy(fleet.listed(NEW, "0.3.1", number=3, device_classes=("aarch64-cpu",)))
    assert "aarch64-cpu" in (await fleet.box.lives(NEW, "0.3.1")).message
    assert fleet.choice == Choice()


async def test_a_release_for_newer_agents_waits_and_comes_by_itself_after_the_agents_update(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = releases.make("2.0.0")
    fleet.repository.deploy(wanted, "2.0.0", minimum_agent="0.3.1")
    box = UpdatedBox(tmp_path / "models", fleet.repository, wanted)
    refused = await box.settles(wanted)
    assert (refused.state, refused.message.partition(":")[0]) == (machine.State.FAILED, "minimum-agent")
    fleet.deploy(fleet.listed(NEW, "0.3.1"))
    assert (await fleet.box.lives(NEW, "0.3.1")).active == NEW.digest
    monkeypatch.setattr(signed_box, "KIND", Kind(signed_box.KIND.device_classes, "0.3.1"))
    await box.restarted()  # the process in the berth
    box.offer(wanted)
    await box.until(lambda: box.runs(wanted))
    await box.close()
