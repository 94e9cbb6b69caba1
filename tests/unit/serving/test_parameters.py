"""Request parameters, over both transports: when an answer is wanted, and who goes first."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from agent.inference.errors import Overloaded
from agent.ports import Tensor
from tests.sim.waiting import until
from tests.unit.serving.conftest import Node
from tests.unit.serving.doors import Asked, Door, Refused

INPUTS = [Tensor(name, "FP32", (1, 3), bytes(12)) for name in ("a", "b")]


def asked(**parameters: Any) -> Asked:
    return Asked(INPUTS, parameters=parameters)


def in_seconds(seconds: float) -> int:
    return time.time_ns() + int(seconds * 1e9)


async def test_the_node_tells_which_extensions_it_has(door: Door) -> None:
    assert set((await door.metadata())["extensions"]) >= {
        "binary_tensor_data",
        "model_repository",
        "parameters",
        "schedule_policy",
        "statistics",
        "system_shared_memory",
    }


async def test_a_request_whose_deadline_has_passed_is_answered_at_once_and_not_run(door: Door, node: Node) -> None:
    with pytest.raises(Refused, match="deadline_unix_ns") as caught:
        await door.infer("sum", asked(deadline_unix_ns=in_seconds(-1)))
    assert caught.value.status == 504
    assert node.engine("sum").tally.runs == 0
    assert [result for _, _, result in node.counted.answers] == ["expired"]


async def test_a_request_is_answered_at_its_deadline_whatever_the_engine_does(door: Door, node: Node) -> None:
    node.engine("sum").slow_down(30.0)
    with pytest.raises(Refused) as caught:
        await door.infer("sum", asked(deadline_unix_ns=in_seconds(0.05)))
    assert caught.value.status == 504


@pytest.mark.parametrize(("timeout", "told"), [(1, "1 µs"), (999, "999 µs"), (1000, "1 ms"), (20_000, "20 ms")])
async def test_the_time_that_was_given_is_told_as_it_was_given(
    door: Door, node: Node, monkeypatch: pytest.MonkeyPatch, timeout: int, told: str
) -> None:
    async def hang(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(node.engine("sum"), "infer", hang)
    with pytest.raises(Refused, match=f"no answer within the {told} the request gave"):
        await door.infer("sum", asked(timeout=timeout))


async def test_the_sooner_of_timeout_and_deadline_counts(door: Door, node: Node) -> None:
    node.engine("sum").slow_down(30.0)
    for parameters in (
        {"timeout": 50_000, "deadline_unix_ns": in_seconds(60)},
        {"timeout": 60_000_000, "deadline_unix_ns": in_seconds(0.05)},
    ):
        with pytest.raises(Refused) as caught:
            await door.infer("sum", asked(**parameters))
        assert caught.value.status == 504


@pytest.mark.parametrize(
    "parameters", [{}, {"deadline_unix_ns": 0}, {"priority": 0}, {"priority": 7}, {"unknown": "x"}]
)
async def test_parameters_that_ask_for_nothing_special_change_nothing(door: Door, parameters: dict[str, Any]) -> None:
    assert set(await door.infer("sum", asked(**parameters))) == {"total"}


async def test_a_request_with_time_left_is_answered(door: Door) -> None:
    assert set(await door.infer("sum", asked(deadline_unix_ns=in_seconds(60), timeout=60_000_000))) == {"total"}


@pytest.mark.parametrize("name", ["priority", "deadline_unix_ns"])
@pytest.mark.parametrize("value", [-1, 1.5, "soon", True])
async def test_a_malformed_parameter_is_refused(door: Door, name: str, value: object) -> None:
    with pytest.raises(Refused, match=name) as caught:
        await door.infer("sum", asked(**{name: value}))
    assert caught.value.status == 400


@pytest.mark.parametrize("value", [-0.1, 1.5, 50, "0.5", True])
async def test_a_score_that_no_box_can_have_is_refused_and_does_not_hide_all_of_them(door: Door, value: object) -> None:
    with pytest.raises(Refused, match=r"parameter 'min_score' must be a number from 0 to 1$") as caught:
        await door.infer("sum", asked(min_score=value))
    assert caught.value.status == 400


async def test_of_requests_that_wait_the_lowest_priority_number_goes_first(door: Door, node: Node) -> None:
    node.engine("sum").slow_down(0.1)
    ended: list[int] = []

    async def ask(priority: int) -> None:
        await door.infer("sum", asked(priority=priority))
        ended.append(priority)

    first = asyncio.ensure_future(ask(50))
    await until(lambda: node.engine("sum").busy)
    await asyncio.gather(first, *(ask(priority) for priority in (0, 200, 1)))
    assert ended == [50, 1, 0, 200]


async def test_a_busy_node_tells_when_to_come_again(door: Door, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise Overloaded("busy", 2.0)

    monkeypatch.setattr(node.engine("sum"), "infer", fail)
    with pytest.raises(Refused) as caught:
        await door.infer("sum", asked())
    assert (caught.value.status, caught.value.after) == (429, 2.0)
