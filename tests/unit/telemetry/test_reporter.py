"""What happens on the box becomes records and metrics that agree with each other."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from agent.adapters.outbox_memory import MemoryOutbox
from agent.offload.cost import CostLine
from agent.offload.decisions import decision
from agent.offload.explain import Account
from agent.offload.standing import Routes, Standing
from agent.pipeline.shadow import ShadowTally
from agent.telemetry import nodestats, records
from agent.telemetry.metrics import Metrics
from agent.telemetry.nodestats import CpuMeter, Figures
from agent.telemetry.outbox import Lane
from agent.telemetry.records import NodeStats
from agent.telemetry.reporter import Reporter
from agent.telemetry.sender import SenderCounts
from agent.types import CameraState, Tap
from protos import telemetry_pb2 as wire
from protos.ids import CameraName, DeploymentName
from protos.outcomes import Outcome
from tests.sim.clock import FakeClock, settle
from tests.sim.telemetry import CROSSED, DWELT, TAP, Oracle, finished


class Rig:
    def __init__(self, clock: FakeClock, folder: Path) -> None:
        self.outbox, self.metrics, self.oracle = MemoryOutbox(), Metrics("0.1.0", "quay-1"), Oracle()
        self.reporter = Reporter(self.outbox, self.metrics, clock, folder)
        self.reporter.per_second[TAP.deployment] = 2.0

    async def told(self, kind: str) -> list[wire.Record]:
        """Records of one kind that were put into the outbox."""
        while (taken := await self.outbox.take(Lane.LIVE, 10_000, 1 << 30)).rows:
            self.oracle.take(records.batch(taken.epoch, taken.rows))
        return self.oracle.bodies(kind)

    def sample(self, line: str) -> str:
        """The value of the sample with this name and these labels."""
        lines = self.metrics.render().decode().splitlines()
        return next(found.rpartition(" ")[2] for found in lines if found.startswith(line + " "))


@pytest.fixture
def rig(clock: FakeClock, tmp_path: Path) -> Rig:
    return Rig(clock, tmp_path)


async def test_where_frames_went_and_what_that_was_decided_against_goes_with_their_counts(rig: Rig) -> None:
    now = rig.reporter.clock.monotonic()
    standing = Standing(Routes(), 0.5, rung="cpu", rung_why="As wanted.")
    rig.reporter.standings = lambda at: {TAP.deployment: standing} if at == now else {}
    rig.reporter.finished(finished())
    rig.reporter.decided(decision(Account(TAP.camera, 1, 0.0), finished(), 1.0, "small"))
    rig.reporter.flush()
    (record,) = await rig.told("outcomes")
    assert dict(record.outcomes.decided) == {"small": 1, "looks": 1, "load": 0.5, "rung_cpu": 1}
    assert record.outcomes.rung_why == "As wanted."


async def test_applications_are_told_what_is_recorded_and_nothing_else(rig: Rig, clock: FakeClock) -> None:
    told: list[int] = []
    rig.reporter.tell = lambda frame: told.append(frame.seq)
    for number in range(20):
        clock.tick(0.1)
        rig.reporter.finished(finished(number, Outcome.OK_LOCAL if number % 4 else Outcome.SHED))
    assert told == [record.frame.frame_seq for record in await rig.told("frame")]
    assert len(told) == 4


async def test_counts_and_metrics_of_the_same_frames_agree(rig: Rig, clock: FakeClock) -> None:
    for number in range(20):
        clock.tick(0.1)
        rig.reporter.finished(finished(number, Outcome.OK_LOCAL if number % 4 else Outcome.SHED))
    rig.reporter.superseded(TAP, 3)
    rig.reporter.flush()
    (record,) = await rig.told("outcomes")
    assert record.outcomes.frames_due == 23
    assert dict(record.outcomes.counts) == {"ok_local": 15, "shed": 5, "superseded": 3}
    for outcome, frames in record.outcomes.counts.items():
        labels = f'camera="quay",deployment="harbour",outcome="{outcome}"'
        assert float(rig.sample(f"longshore_frames_total{{{labels}}}")) == frames


async def test_answered_frames_are_recorded_at_the_rate_that_desired_state_gives(rig: Rig, clock: FakeClock) -> None:
    for number in range(100):
        clock.tick(0.1)
        rig.reporter.finished(finished(number))
    assert len(await rig.told("frame")) == pytest.approx(20, abs=1)


async def test_a_frame_in_which_something_happened_is_recorded_beside_those_that_are_anyway(
    rig: Rig, clock: FakeClock
) -> None:
    told: list[int] = []
    rig.reporter.tell = lambda frame: told.append(frame.seq)
    for number in range(20):
        clock.tick(0.1)
        rig.reporter.finished(finished(number, happened=(CROSSED,) if number in (3, 4) else ()))
    assert told == [0, 3, 4, 5, 10, 15]
    assert told == [record.frame.frame_seq for record in await rig.told("frame")]


async def test_crossings_are_counted_by_line_and_direction(rig: Rig) -> None:
    for number in range(3):
        rig.reporter.finished(finished(number, happened=(CROSSED, DWELT)))
    labels = 'camera="quay",deployment="harbour",direction="left-to-right",line="gate"'
    assert rig.sample(f"longshore_line_crossings_total{{{labels}}}") == "3.0"
    assert 'line="berth"' not in rig.metrics.render().decode()
    rig.metrics.happenings_dropped(7)
    assert rig.sample("longshore_happenings_dropped") == "7.0"


async def test_a_line_that_is_gone_is_counted_no_more(rig: Rig) -> None:
    rig.reporter.finished(finished(happened=(CROSSED, replace(CROSSED, place="door"))))
    rig.metrics.keep({TAP.camera}, {TAP.deployment}, {(TAP.camera, "door")})
    assert set(re.findall('line="([^"]*)"', rig.metrics.render().decode())) == {"door"}


async def test_a_line_that_is_gone_is_counted_no_more_though_another_camera_has_one_of_its_name(rig: Rig) -> None:
    other = structs.replace(TAP, camera=CameraName("berth"))
    for tap in (TAP, other):
        rig.reporter.finished(finished(tap=tap, happened=(CROSSED,)))
    rig.metrics.keep({TAP.camera, other.camera}, {TAP.deployment}, {(other.camera, CROSSED.place)})
    series = re.findall(r'longshore_line_crossings_total{camera="([^"]*)"', rig.metrics.render().decode())
    assert set(series) == {other.camera}


async def test_windows_close_every_two_seconds_and_the_box_is_measured(rig: Rig, clock: FakeClock) -> None:
    put = asyncio.Event()
    rig.outbox.on_waiting(put.set)
    task = asyncio.create_task(rig.reporter.run())
    for window in range(1, 7):
        rig.reporter.finished(finished())
        await clock.advance(2.0)
        while not await rig.told("node"):  # the first time it is measured, in a thread
            put.clear()
            await asyncio.wait_for(put.wait(), 60)
        await settle()  # it sleeps again
        assert len(await rig.told("outcomes")) == window
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    stats = (await rig.told("node"))[0].node
    assert stats.memory_bytes > 1 << 20
    assert stats.disk_free_bytes > 0


async def test_a_cameras_state_is_told_with_its_reason(rig: Rig) -> None:
    rig.reporter.camera(TAP.camera, CameraState.RETRYING, "connection refused")
    (record,) = await rig.told("camera")
    assert (record.camera.state, record.camera.reason) == ("retrying", "connection refused")


def test_histograms_are_real_and_in_seconds(rig: Rig) -> None:
    frame = finished(latency=0.030, stages={"queue": 0.004, "infer": 0.015, "total": 0.030, "made-up": 9.0})
    rig.reporter.finished(frame)
    infer = 'longshore_frame_stage_seconds_bucket{deployment="harbour",le="%s",stage="infer"}'
    assert rig.sample(infer % "0.01") == "0.0"
    assert rig.sample(infer % "0.02") == "1.0"
    total = rig.sample('longshore_frame_stage_seconds_sum{deployment="harbour",stage="total"}')
    assert float(total) == pytest.approx(0.03), "an answered frame is in it once"
    assert "made-up" not in rig.metrics.render().decode()


def test_states_models_and_the_outbox_are_shown(rig: Rig) -> None:
    metrics, deployment = rig.metrics, TAP.deployment
    metrics.update_state(deployment, "PULLING", ["IDLE", "PULLING"])
    metrics.model(deployment, "harbour", "1.0.0", "sha256:aa")
    metrics.model(deployment, "harbour", "1.1.0", "sha256:bb")
    summary = replace(rig.outbox.summary(), oldest_unix_ms=1_000, damaged="it was set aside")
    metrics.outbox(summary, SenderCounts(published=4), 7_500)
    text = metrics.render().decode()
    assert rig.sample('longshore_update_state{deployment="harbour",state="PULLING"}') == "1.0"
    assert "sha256:aa" not in text
    assert "sha256:bb" in text
    assert rig.sample('longshore_telemetry_batches{result="published"}') == "4.0"
    assert rig.sample("longshore_outbox_oldest_waiting_seconds") == "6.5"
    assert rig.sample("longshore_outbox_damaged") == "1.0"


def test_series_of_cameras_and_deployments_that_are_gone_end_even_if_a_frame_comes_late(rig: Rig) -> None:
    metrics, other = rig.metrics, Tap(CameraName("gate"), DeploymentName("yard"))
    metrics.before_render(lambda: metrics.keep({other.camera}, {other.deployment}, {(other.camera, CROSSED.place)}))
    for tap in (TAP, other):
        metrics.update_state(tap.deployment, "PULLING", ["IDLE", "PULLING"])
        metrics.model(tap.deployment, "harbour", "1.0.0", "sha256:aa")
        metrics.camera(tap.camera, CameraState.RUNNING, 9.8)
        metrics.queue(tap.deployment, 1, 1)
        metrics.cost(tap.deployment, CostLine(((1, 0.01),)))
        metrics.shadow(tap.deployment, ShadowTally(agreed=1))
        metrics.not_a_number(tap.deployment, 3)
    half_gone = (Tap(other.camera, TAP.deployment), Tap(TAP.camera, other.deployment))
    for _ in range(2):
        for tap in (TAP, other, *half_gone):
            rig.reporter.finished(finished(tap=tap, uplink_bytes=9, stages={"infer": 0.01}, happened=(CROSSED,)))
        text = metrics.render().decode()
        assert TAP.camera not in re.findall('camera="([^"]*)"', text)
        assert TAP.deployment not in re.findall('deployment="([^"]*)"', text)
    assert rig.sample('longshore_frames_total{camera="gate",deployment="yard",outcome="ok_local"}') == "2.0"
    assert rig.sample('longshore_queue_frames{deployment="yard"}') == "1.0"
    assert rig.sample('longshore_not_a_number_frames{deployment="yard"}') == "3.0"


def test_what_a_call_costs_is_told_and_how_well_it_is_planned_once_there_were_calls(rig: Rig) -> None:
    line = CostLine(((1, 0.006), (8, 0.013)))
    rig.metrics.cost(TAP.deployment, line)
    text = rig.metrics.render().decode()
    cost = [
        rig.sample(f'longshore_inference_cost_seconds{{deployment="harbour",of="{of}"}}') for of in ("frame", "call")
    ]
    assert [float(seconds) for seconds in cost] == pytest.approx([0.001, 0.005])
    assert "longshore_inference_planned_share{" not in text
    for call in range(64):
        line.observe(1, 0.012, call / 10)
    rig.metrics.cost(TAP.deployment, line)
    assert float(rig.sample('longshore_inference_planned_share{deployment="harbour"}')) > 0.9
    assert float(rig.sample('longshore_inference_cost_seconds{deployment="harbour",of="call"}')) > 0.009
    rig.metrics.cost(TAP.deployment, CostLine(((1, 0.02),)))
    assert "longshore_inference_planned_share{" not in rig.metrics.render().decode()


def test_how_a_shadow_compares_is_told_while_it_is_loaded(rig: Rig) -> None:
    rig.metrics.shadow(TAP.deployment, ShadowTally(agreed=97, differed=3, failed=2, seconds=1.2, active_seconds=2.0))
    assert rig.sample('longshore_shadow_frames{deployment="harbour",result="agreed"}') == "97.0"
    assert rig.sample('longshore_shadow_frames{deployment="harbour",result="failed"}') == "2.0"
    assert rig.sample('longshore_shadow_inference_seconds{deployment="harbour",of="active"}') == "2.0"
    rig.metrics.shadow(TAP.deployment, None)
    assert "longshore_shadow_frames{" not in rig.metrics.render().decode()


def test_a_process_name_may_hold_anything() -> None:
    line = "7 (a) b) c) S 3 7 7 0 -1 4194560 0 0 0 0 100 50 10 5 20 0 1 0"
    assert nodestats.parse_stat(line) == (3, 165 / nodestats.TICKS_PER_SECOND)


def test_the_tree_holds_children_of_children_and_no_others() -> None:
    assert nodestats.tree({2: 1, 3: 2, 4: 3, 9: 8, 5: 2}, 2) == {2, 3, 4, 5}


def test_cpu_is_cores_since_the_last_look() -> None:
    meter = CpuMeter()
    assert meter.cores(10.0, 100.0) == 0.0
    assert meter.cores(12.0, 104.0) == 0.5
    assert meter.cores(11.0, 105.0) == 0.0  # a child that ended took its time with it


def test_a_worker_counts_towards_its_agent() -> None:
    before = nodestats.usage(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", "x = bytearray(60 << 20); input()"], stdin=subprocess.PIPE)
    try:
        grown = 0
        for _ in range(200):
            grown = nodestats.usage(os.getpid()).memory_bytes - before.memory_bytes
            if grown > 50 << 20:
                break
        assert grown > 50 << 20
    finally:
        child.kill()
        child.wait()
        assert child.stdin is not None
        child.stdin.close()


def test_memory_that_can_be_had_is_what_the_kernel_says() -> None:
    text = "MemTotal:  8000 kB\nMemFree:  12 kB\nMemAvailable:   2048 kB\n"
    assert nodestats.parse_available(text) == 2 << 20
    assert nodestats.parse_available("MemTotal: 1 kB\n") == 0
    assert nodestats.available_memory() > 0


REST = NodeStats(0.02, 100 << 20, 50 << 30)
MOVED = {
    "the agent works": Figures(NodeStats(0.2, 100 << 20, 50 << 30), 0, 0),
    "its memory grows": Figures(NodeStats(0.02, 130 << 20, 50 << 30), 0, 0),
    "the disk fills": Figures(NodeStats(0.02, 100 << 20, 35 << 30), 0, 0),
    "records were dropped": Figures(REST, 0, 1),
    "records pile up": Figures(REST, 400, 0),
}


@pytest.mark.parametrize("now", MOVED.values(), ids=MOVED.keys())
def test_figures_that_moved_are_told_at_once(now: Figures) -> None:
    assert nodestats.notable(Figures(REST, 0, 0), now)
    assert nodestats.notable(now, Figures(REST, 0, 0))


def test_figures_that_waver_are_not_worth_a_record() -> None:
    for stats in (NodeStats(0.08, 115 << 20, 45 << 30), NodeStats(0.0, 85 << 20, 55 << 30)):
        assert not nodestats.notable(Figures(REST, 3, 7), Figures(stats, 80, 7))


async def test_a_box_at_rest_tells_its_figures_once_an_hour(
    rig: Rig, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodestats, "measure", lambda *_: REST)
    monkeypatch.setattr(asyncio, "to_thread", _here)
    task = asyncio.create_task(rig.reporter.run())
    await clock.advance(3 * 3600)
    task.cancel()
    await asyncio.wait([task])
    assert len(await rig.told("node")) == pytest.approx(3 * 3600 / nodestats.QUIET_SECONDS, abs=1)


async def _here(measure: Callable[..., NodeStats], *arguments: object) -> NodeStats:
    return measure(*arguments)
