"""The statistics extension, over both transports, and where its numbers come from."""

from __future__ import annotations

import asyncio
import time

import pytest

from agent.ports import Tally, Tensor
from agent.serving import statistics
from agent.serving.statistics import Duration
from tests.sim.waiting import until
from tests.unit.serving.conftest import Node
from tests.unit.serving.doors import Asked, Door, Refused

ROWS = Asked([Tensor(name, "FP32", (4, 3), bytes(48)) for name in ("a", "b")])
SHORT = Asked([Tensor("a", "FP32", (1, 3), bytes(12))])


async def test_requests_are_counted_by_how_they_ended(door: Door) -> None:
    before = time.time()
    for _ in range(2):
        await door.infer("sum", ROWS)
    with pytest.raises(Refused):
        await door.infer("sum", SHORT)
    (found,) = await door.statistics("sum", "1.0.0")
    assert (found["name"], found["version"], found["batch_stats"]) == ("sum", "1.0.0", [])
    assert (found["inference_count"], found["execution_count"]) == (8, 2)
    assert before * 1000 - 50 <= found["last_inference"] <= time.time() * 1000 + 50
    spent = found["inference_stats"]
    assert {name: part["count"] for name, part in spent.items()} == {
        "success": 2,
        "fail": 1,
        **dict.fromkeys(("queue", "compute_input", "compute_infer", "compute_output"), 2),
        **dict.fromkeys(("cache_hit", "cache_miss"), 0),
    }
    assert spent["success"]["ns"] >= spent["compute_infer"]["ns"]


async def test_waiting_for_others_is_told_apart_from_running(door: Door, node: Node) -> None:
    node.engine("sum").slow_down(0.02)
    await asyncio.gather(*(door.infer("sum", ROWS) for _ in range(3)))
    (found,) = await door.statistics("sum")
    spent = found["inference_stats"]
    assert spent["compute_infer"]["ns"] >= 3 * 20e6
    assert spent["queue"]["ns"] >= 40e6  # the second waited for one, the third for two


async def test_a_caller_who_left_counts_as_failed(door: Door, node: Node) -> None:
    node.engine("sum").slow_down(30.0)
    call = asyncio.ensure_future(door.infer("sum", ROWS))
    await until(lambda: node.engine("sum").busy)
    call.cancel()
    await until(lambda: bool(node.counted.answers))
    (found,) = await door.statistics("sum")
    assert (found["inference_stats"]["fail"]["count"], found["inference_count"]) == (1, 0)


async def test_all_models_are_told_when_none_is_named(door: Door, node: Node) -> None:
    found = await door.statistics()
    assert {each["name"] for each in found} == set(node.table.models)
    assert {each["last_inference"] for each in found} == {0}


@pytest.mark.parametrize(("model", "version"), [("none", ""), ("sum", "9"), ("none", "1")])
async def test_what_is_not_served_has_no_statistics(door: Door, model: str, version: str) -> None:
    with pytest.raises(Refused) as caught:
        await door.statistics(model, version)
    assert caught.value.status == 404


async def test_what_still_loads_is_to_be_asked_for_again(door: Door, node: Node) -> None:
    node.table.loading.add("sum")
    with pytest.raises(Refused) as caught:
        await door.statistics("sum")
    assert caught.value.status == 503


def test_sums_of_seconds_are_told_in_nanoseconds() -> None:
    tally = Tally()
    tally.input = 0.001
    tally.ran(rows=3, seconds=0.01, infer=0.004, output=0.002)
    tally.ended(now=5.0, seconds=0.02, ok=True)
    tally.ended(now=7.0, seconds=0.5, ok=False)
    found = statistics.of("sum", "1", tally, lambda at: at + 1000)
    assert (found.last_inference, found.inference_count, found.execution_count) == (1_007_000, 3, 1)
    spent = found.inference_stats
    assert (spent.success, spent.fail) == (Duration(1, 20_000_000), Duration(1, 500_000_000))
    parts = (spent.queue, spent.compute_input, spent.compute_infer, spent.compute_output)
    assert [part.ns for part in parts] == [3_000_000, 1_000_000, 4_000_000, 2_000_000]
