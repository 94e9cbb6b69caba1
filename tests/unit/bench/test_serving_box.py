"""What bench_serving starts as an agent's data plane is what an agent is."""

from __future__ import annotations

import asyncio

from agent import running
from bench.serving import box


def test_a_box_under_measurement_runs_on_the_loop_that_agents_run_on() -> None:
    seen: list[type] = []

    async def look() -> None:
        seen.append(type(asyncio.get_running_loop()))

    box.run(look(), "agent")
    agents = running.new_loop()
    agents.close()
    assert seen == [type(agents)]
