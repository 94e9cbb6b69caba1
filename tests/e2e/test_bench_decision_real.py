"""The decision on real processes, in its smallest form; what this machine can, and how near it was told: not judged."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agent.simulation.links import Trace
from agent.simulation.scenario import Step
from bench.bench_decision_real import Form, prove, table
from bench.decision_real.scenes import CUT, OVERLOAD
from bench.decision_real.shaper import Shaper
from protos.outcomes import Outcome

pytestmark = pytest.mark.e2e

LONG_CUT = replace(CUT, trouble=(0.3, 0.7))
SMALL = Form(seconds=3.5, pictures=8, each=1, most=1, fits=1, unpinned=0, scenes=(OVERLOAD, LONG_CUT))


async def test_every_frame_ends_once_and_a_cut_link_blocks_nothing_and_another_way_answers_within_a_second(
    tmp_path: Path,
) -> None:
    result = await prove(tmp_path, SMALL)
    scenes = result["judged"] | result["discarded"]
    assert set(scenes) == {"overload", "cut"}
    for figures in scenes.values():
        assert set(figures["outcomes"]) <= set(Outcome)
        assert sum(figures["outcomes"].values()) == pytest.approx(1.0, abs=0.01)
        late_itself = (figures["lag_p99_ms"] + figures["call_p99_ms"]) / 1000  # a crowded machine
        assert figures["overdue_s"] < 0.6 + late_itself
        assert figures["silence_s"] < 1.0 + late_itself
        assert figures["shares"]["on time"]["real"] > 0.0
    assert scenes["overload"]["outcomes"].get(Outcome.OK_CLOUD, 0.0) > 0.0
    print(table(result))


async def test_a_link_passes_what_its_rate_allows_nothing_while_it_is_cut_and_the_rest_afterwards() -> None:
    came: list[tuple[float, int]] = []
    all_came = asyncio.Event()

    async def take(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while content := await reader.read(65536):
            came.append((time.monotonic(), len(content)))
            if sum(count for _, count in came) == 50_000:
                all_came.set()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    link = Shaper(server.sockets[0].getsockname()[1])
    async with server, link.listening() as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        start = time.monotonic() + 0.05
        link.follow(Trace((Step(0.0, 8e5, 0.1), Step(0.3, 0.0, 0.1), Step(0.7, 8e5, 0.1))), start)
        await asyncio.sleep(0.1)
        writer.write(bytes(50_000))  # half a second of its rate, from 0.05 on
        async with asyncio.timeout(10):
            await all_came.wait()
        writer.close()
    moments = [at - start for at, _ in came]
    assert moments[0] > 0.05 + 0.05  # half of the round trip
    assert not [at for at in moments if 0.45 < at < 0.75]  # but for the last piece before the cut
    assert moments[-1] > 0.95
