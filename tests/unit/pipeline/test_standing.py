"""A lane says how it stands: of the frames that it decided about, with what it knows of box, link and budgets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.offload.ladder import Ladder, Rung
from agent.pipeline import standing
from protos.outcomes import Outcome
from tests.sim import lane as sim
from tests.sim.lane import Box


def test_a_box_that_can_do_all_says_so() -> None:
    box = Box(sim.lane(cloud=False))
    box.run(5.0)
    found = standing.of(box.lane, Ladder(), box.now)
    assert (found.routes.local, found.link, found.bits_left) == (1.0, None, None)
    assert found.load == pytest.approx(0.2, abs=0.05)
    assert found.why.endswith("and answers all itself")


def test_a_slow_box_tells_what_went_up_over_which_link_and_what_is_left() -> None:
    box = Box(sim.lane(planned=0.2), infer=lambda _: 0.2)
    box.lane.agree(replace(box.lane.terms, money_per_day=2.0))
    done = box.run(8.0)
    found = standing.of(box.lane, Ladder(Rung.CLOUD), box.now)
    assert found.load > 2
    assert found.routes.cloud + found.routes.hedge > 0.4
    assert any(frame.outcome is Outcome.OK_CLOUD for frame in done)
    assert found.link is not None
    assert found.bits_left is not None
    assert found.bits_left < box.lane.there.budget.most
    assert found.money_left is not None
    assert 0 < found.money_left < 2.0
    assert set(found.prices) == {"bits", "money"}
    assert (found.rung, "is sent to the cloud" in found.why) == ("cloud", True)


def test_asking_changes_nothing_that_is_decided() -> None:
    asked, left_alone = (Box(sim.lane(planned=0.06), infer=lambda _: 0.06) for _ in range(2))
    for _ in range(30):
        asked.run(0.3)
        standing.of(asked.lane, Ladder(), asked.now)
        left_alone.run(0.3)
    assert [each.outcome for each in asked.finished] == [each.outcome for each in left_alone.finished]
