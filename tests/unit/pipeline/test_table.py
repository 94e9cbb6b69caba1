"""What callers of the inference protocol find on the board, before, during and after a swap."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from agent.pipeline.table import BoardTable
from agent.serving.errors import NotReady, RefusedRelease, UnknownModel
from protos.ids import DeploymentName, Version
from tests.sim.board import HARBOUR, World, wish
from tests.sim.models import detector
from tests.sim.verified import verified


@pytest.fixture
async def box() -> AsyncIterator[World]:
    box = World()
    yield box
    await box.board.close()
    box.captures.close()


@pytest.fixture
def table(box: World) -> BoardTable:
    return BoardTable(box.board, lambda _deployment, digest: box.refused.get(digest, ""))


@pytest.fixture
def want(box: World) -> Callable[[str], None]:
    return lambda version: box.board.plan([], [replace(wish(), version=Version(version))])


async def test_a_node_that_was_never_told_what_to_serve_is_not_ready(
    box: World, table: BoardTable, want: Callable[[str], None]
) -> None:
    assert not table.ready()
    want("1")
    assert not table.ready()
    await box.install("1")
    assert table.ready()


async def test_a_node_that_should_serve_nothing_is_ready(box: World, table: BoardTable) -> None:
    box.board.plan([], [])
    assert table.ready()


async def test_a_node_is_not_ready_while_a_worker_is_started_again(
    box: World, table: BoardTable, want: Callable[[str], None]
) -> None:
    want("1")
    await box.install("1")
    await box.engines[0].close()
    assert not table.ready()


async def test_a_release_that_is_wanted_and_not_there_yet_is_not_unknown(
    box: World, table: BoardTable, want: Callable[[str], None]
) -> None:
    want("1")
    for version in (None, "", "1"):
        with pytest.raises(NotReady):
            table.lookup("harbour", version)
    with pytest.raises(UnknownModel, match="none yet"):
        table.lookup("harbour", "2")
    assert table.versions("harbour") == []
    await box.install("1")
    want("2")
    with pytest.raises(NotReady, match="harbour 2"):
        table.lookup("harbour", "2")
    with pytest.raises(UnknownModel, match="there is harbour 1"):
        table.lookup("harbour", "3")
    with pytest.raises(UnknownModel):
        table.versions("quay")


async def test_a_release_that_was_refused_is_answered_with_the_reason_while_the_one_before_serves(
    box: World, table: BoardTable, want: Callable[[str], None]
) -> None:
    want("1")
    await box.install("1")
    box.board.plan([], [replace(wish(), version=Version("2"), digest=verified("2").digest)])
    box.refused[verified("2").digest] = "does not load: an unknown operator"
    with pytest.raises(RefusedRelease, match=r"refused harbour 2 .* an unknown operator; deploy another version"):
        table.lookup("harbour", "2")
    assert table.lookup("harbour", None).version == "1"


async def test_what_another_deployment_still_loads_is_worth_waiting_for(box: World, table: BoardTable) -> None:
    other = replace(wish(), name=DeploymentName("gate"))
    box.board.plan([], [wish(), other])
    box.refused[wish().digest] = "does not load"
    table = BoardTable(box.board, lambda name, digest: box.refused.get(digest, "") if name == HARBOUR else "")
    with pytest.raises(NotReady):
        table.lookup("harbour", "1")


async def test_the_release_before_is_served_until_the_new_one_is_confirmed(
    box: World, table: BoardTable, want: Callable[[str], None]
) -> None:
    want("1")
    await box.install("1")
    want("2")
    second = verified("2", detector())
    await box.install("2")
    assert table.lookup("harbour", None).version == "2"
    assert table.lookup("harbour", "2").engine is box.engines[1]
    assert table.lookup("harbour", "1").engine is box.engines[0]
    assert table.versions("harbour") == ["1", "2"]
    assert await box.board.confirm(HARBOUR, second.digest, 0.0)
    assert table.versions("harbour") == ["2"]
    with pytest.raises(UnknownModel):
        table.lookup("harbour", "1")
