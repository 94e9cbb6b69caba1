"""What a box reports of how it decides: of deployments that a release answers."""

from __future__ import annotations

from pathlib import Path

from agent import report
from agent.offload.standing import Link, Routes, Standing
from agent.report import Addresses, Box
from agent.update.machine import State
from agent.update.walk import Report
from protos import fleet_pb2
from protos.ids import DeploymentName

BOX = Box("edge", "boot", Path("/"), Addresses(), ())
WATCH, OTHER = DeploymentName("watch"), DeploymentName("other")
UPDATES = [Report(name, State.IDLE, "", "", "", (), 0, 0) for name in (WATCH, OTHER)]


def test_how_a_box_decides_is_told_whole() -> None:
    routes = Routes(8, local=0.25, small=0.125, cloud=0.25, hedge=0.125, shed=0.25)
    found = Standing(routes, 1.5, Link(3e6, 0.04), 9e6, 1.5, {"bits": 0.5}, "cloud", "no engine", "the box is slow")
    told, without = report.request(BOX, "epoch", UPDATES, {}, [], standings={WATCH: found}).deployments
    assert not without.HasField("decision")
    assert told.decision == fleet_pb2.DecisionReport(
        frames=8,
        local=0.25,
        small=0.125,
        cloud=0.25,
        hedge=0.125,
        shed=0.25,
        load=1.5,
        bits_per_second=3e6,
        rtt_seconds=0.04,
        bits_left=9e6,
        money_left=1.5,
        prices={"bits": 0.5},
        rung="cloud",
        rung_why="no engine",
        why="the box is slow",
    )


def test_where_no_cloud_helps_nothing_is_told_of_a_link_or_of_what_may_be_sent() -> None:
    (told, _) = report.request(BOX, "e", UPDATES, {}, [], standings={WATCH: Standing(Routes(), 0.0)}).deployments
    assert not told.decision.HasField("bits_left")
    assert not told.decision.HasField("money_left")
    assert told.decision.bits_per_second == 0.0
