"""What a box reports of a shadow: counts, and the mean inference of both over the frames it answered; of a wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import report
from agent.offload.cost import CostLine
from agent.pipeline.shadow import ShadowTally
from agent.report import Addresses, Box, ShadowReport
from agent.update.machine import State
from agent.update.walk import Report
from protos.ids import DeploymentName, Digest

BOX = Box("edge", "boot", Path("/"), Addresses(), ())
WATCH, OTHER = DeploymentName("watch"), DeploymentName("other")


def test_a_shadow_is_told_with_its_deployment() -> None:
    updates = [Report(name, State.IDLE, "", "", "", (), 0, 0) for name in (WATCH, OTHER)]
    tally = ShadowTally(agreed=3, differed=1, failed=2, seconds=0.2, active_seconds=0.4)
    shadows = {WATCH: ShadowReport(Digest("sha256:bb"), "waits: no memory", tally)}
    told, without = report.request(BOX, "epoch", updates, {}, [], shadows).deployments
    assert not without.HasField("shadow")
    assert (told.shadow.digest, told.shadow.message) == ("sha256:bb", "waits: no memory")
    assert (told.shadow.agreed, told.shadow.differed, told.shadow.failed) == (3, 1, 2)
    assert (told.shadow.infer_seconds, told.shadow.active_infer_seconds) == pytest.approx((0.05, 0.1))


def test_one_that_saw_nothing_yet_has_no_times() -> None:
    updates = [Report(WATCH, State.IDLE, "", "", "", (), 0, 0)]
    shadows = {WATCH: ShadowReport(Digest("sha256:bb"), "is being fetched", ShadowTally())}
    (told,) = report.request(BOX, "epoch", updates, {}, [], shadows).deployments
    assert (told.shadow.infer_seconds, told.shadow.agreed) == (0.0, 0)


def test_what_a_call_costs_is_told_of_deployments_that_a_release_answers() -> None:
    updates = [Report(name, State.IDLE, "", "", "", (), 0, 0) for name in (WATCH, OTHER)]
    line = CostLine(((1, 0.012), (4, 0.042)))
    told, without = report.request(BOX, "epoch", updates, {}, [], costs={WATCH: line}).deployments
    assert not without.HasField("cost")
    assert (told.cost.frame_seconds, told.cost.call_seconds) == pytest.approx((0.010, 0.002))


def test_a_release_that_waits_for_its_window_is_told_as_held() -> None:
    message = "waits for its window, which opens at 22:00 (UTC)"
    updates = [Report(WATCH, State.PULLING, "", "", message, (), 0, 0, held=True)]
    (told,) = report.request(BOX, "epoch", updates, {}, []).deployments
    assert (told.held, told.message) == (True, message)
