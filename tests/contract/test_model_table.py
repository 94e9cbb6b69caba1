"""The contract of agent.serving.dataplane.ModelTable: of a box's board, and of the table that tests serve from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Protocol

import pytest

from agent.pipeline.table import BoardTable
from agent.serving.dataplane import ModelTable
from agent.serving.errors import NotReady, RefusedRelease, UnknownModel
from agent.serving.repository import Awaited
from protos.errors import Retryable
from protos.ids import Version
from tests.sim.board import SMALL, World, wish
from tests.sim.engine import FakeEngine, RealClock
from tests.sim.serving import FakeTable
from tests.sim.verified import verified


class Hand(Protocol):
    """Brings `harbour` 1 into one of its states."""

    table: ModelTable

    async def loaded(self) -> None: ...
    def wanted(self) -> None: ...
    def refused(self, reason: str) -> None: ...


class OfBoard:
    def __init__(self) -> None:
        self.box = World()
        self.table: ModelTable = BoardTable(self.box.board, lambda _, digest: self.box.refused.get(digest, ""))
        self.box.board.plan([], [])

    async def loaded(self) -> None:
        self.wanted()
        await self.box.install("1")

    def wanted(self) -> None:
        self.box.board.plan([], [replace(wish(), version=Version("1"))])

    def refused(self, reason: str) -> None:
        self.wanted()
        self.box.refused[verified("1").digest] = reason


class OfTests:
    def __init__(self) -> None:
        self.fake = FakeTable()
        self.table: ModelTable = self.fake

    async def loaded(self) -> None:
        engine = FakeEngine([SMALL], RealClock())
        await engine.start(SMALL.spec)
        self.fake.add("harbour", "1", engine)

    def wanted(self) -> None:
        self.fake.loading.add("harbour")

    def refused(self, reason: str) -> None:
        self.fake.refused["harbour"] = reason


@pytest.fixture(params=[OfBoard, OfTests])
async def hand(request: pytest.FixtureRequest) -> AsyncIterator[Hand]:
    made = request.param()
    yield made
    if isinstance(made, OfBoard):
        await made.box.board.close()
        made.box.captures.close()


@pytest.mark.parametrize("version", [None, "1"])
async def test_what_is_loaded_is_served(hand: Hand, version: str | None) -> None:
    await hand.loaded()
    served = hand.table.lookup("harbour", version)
    assert (served.name, served.version, served.engine.ready) == ("harbour", "1", True)
    assert hand.table.versions("harbour") == ["1"]
    assert hand.table.ready()


@pytest.mark.parametrize("version", [None, "1"])
async def test_what_is_wanted_and_not_there_yet_is_to_be_asked_for_again(hand: Hand, version: str | None) -> None:
    hand.wanted()
    with pytest.raises(NotReady):
        hand.table.lookup("harbour", version)
    assert not hand.table.ready()


@pytest.mark.parametrize("version", [None, "1"])
async def test_what_is_refused_for_good_is_not_to_be_asked_for_again(hand: Hand, version: str | None) -> None:
    hand.refused("an unknown operator")
    with pytest.raises(RefusedRelease, match="an unknown operator") as found:
        hand.table.lookup("harbour", version)
    assert not isinstance(found.value, Retryable)


async def test_what_nobody_wants_is_unknown(hand: Hand) -> None:
    await hand.loaded()
    for name, version in (("quay", None), ("harbour", "2")):
        with pytest.raises(UnknownModel) as found:
            hand.table.lookup(name, version)
        assert not isinstance(found.value, RefusedRelease)


async def test_what_is_loaded_is_listed_and_awaited_no_more(hand: Hand) -> None:
    hand.wanted()
    assert hand.table.served() == []
    assert hand.table.awaited() == [Awaited("harbour", "1")]
    if isinstance(hand, OfTests):
        hand.fake.loading.clear()
    await hand.loaded()
    assert [(each.name, each.version, each.engine.ready) for each in hand.table.served()] == [("harbour", "1", True)]
    assert hand.table.awaited() == []


async def test_what_is_refused_for_good_is_listed_with_the_reason(hand: Hand) -> None:
    hand.refused("an unknown operator")
    assert hand.table.awaited() == [Awaited("harbour", "1", "an unknown operator")]
    assert hand.table.served() == []
