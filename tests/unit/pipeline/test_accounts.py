"""The last frames of a deployment and why each went where it went."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from agent.config import AgentConfig
from agent.offload.decisions import Decision
from agent.offload.explain import Account
from agent.offload.profile import PRIOR
from agent.pipeline import accounts
from agent.pipeline.accounts import Accounts
from agent.pipeline.board import Board, CameraWish
from agent.types import Finished, Tap
from protos.ids import CameraName, digest_of
from protos.outcomes import Outcome
from tests.sim.board import CAMERA, HARBOUR, World, wish
from tests.sim.lane import frame, lane

GATE = CameraName("gate")


def finished(seq: int, camera: CameraName = CAMERA, where: str = "local") -> Finished:
    return Finished(Tap(camera, HARBOUR), seq, Outcome.OK_LOCAL, 0.0, seq, 0.1, release=digest_of(b"1"), where=where)


def kept(*frames: tuple[CameraName, int], most: int = 4) -> Accounts:
    made = Accounts(most)
    for camera, seq in frames:
        made.begun(Account(camera, seq, 0.0, chosen="local"))
        assert made.ended(finished(seq, camera), lambda _: 0.6) is not None
    return made


def test_only_the_newest_are_kept() -> None:
    made = kept(*((CAMERA, seq) for seq in range(1, 10)))
    assert [made.of(CAMERA, seq) is not None for seq in (5, 6, 9)] == [False, True, True]
    oldest, newest = made.oldest(CAMERA), made.of(CAMERA)
    assert oldest is not None
    assert newest is not None
    assert (oldest.seq, newest.seq) == (6, 9)


def test_a_number_that_comes_again_means_the_newer_frame() -> None:
    made = kept((CAMERA, 1), (CAMERA, 2), (GATE, 7))
    made.begun(Account(CAMERA, 1, 5.0, chosen="shed"))
    made.ended(finished(1), lambda _: 0.6)
    again = made.of(CAMERA)
    assert again is not None
    assert (again.seq, again.chosen) == (1, "shed")


@pytest.mark.parametrize(
    ("chosen", "size", "outcome", "route"),
    [
        ("local", "m", Outcome.OK_LOCAL, "local"),
        ("local", "s", Outcome.OK_LOCAL, "small"),
        ("cascade", "s", Outcome.OK_CLOUD, "cloud"),
        ("hedge", "m", Outcome.OK_HEDGE, "hedge"),
        ("local", "s", Outcome.SUPERSEDED, "shed"),
    ],
)
def test_it_is_told_where_a_frame_went(chosen: str, size: str, outcome: Outcome, route: str) -> None:
    made = Accounts()
    made.begun(Account(CAMERA, 1, 0.0, chosen=chosen, size=size, outcome=outcome))
    told = made.ended(replace(finished(1), outcome=outcome), lambda _: 0.6, "m")
    assert told is not None
    assert told.route == route


def test_cameras_are_told_apart() -> None:
    made = kept((CAMERA, 1), (GATE, 2))
    assert made.of(GATE, 1) is None
    assert (found := made.of(CAMERA)) is not None
    assert found.seq == 1
    assert made.oldest(CameraName("berth")) is None


def test_a_frame_that_came_to_no_lane_has_no_account() -> None:
    assert Accounts().ended(finished(1), lambda _: 1.0) is None


def test_an_answer_counts_by_the_share_that_was_evaluated_of_who_gave_it_and_not_by_how_sure_it_is() -> None:
    real = lane()
    doubtful = Account(CAMERA, 1, 0.0, features={"confidence": 0.2}, sent=0.7)
    real.weigh(replace(PRIOR, measured=True))
    assert accounts.right(real, finished(1), doubtful) == PRIOR.sizes[0].metric
    assert accounts.right(real, finished(1, where="cloud-1"), doubtful) == 0.7, "of its picture, as it was encoded"


@pytest.mark.parametrize(("measured", "share"), [(True, PRIOR.jpeg[0].metric), (False, PRIOR.sizes[0].metric)])
def test_a_frame_that_went_up_is_kept_with_the_share_of_such_pictures(measured: bool, share: float) -> None:
    real = lane(planned=0.5)  # too slow
    real.weigh(replace(PRIOR, measured=measured))
    real.arrive(frame(1, 0.0), 0.0)
    account = real.accounts[-1]
    assert account.chosen in ("cloud", "hedge")
    assert accounts.right(real, finished(1, where="cloud-1"), account) == share, "guesses are not mixed with measures"


def test_what_the_budgets_cost_is_kept_beside_what_was_weighed() -> None:
    real = lane()
    real.agree(replace(real.terms, camera_values={CAMERA: 3.0}, watts=10.0))
    met = accounts.budgets(real, Account(CAMERA, 1, 10.0), 10.0)
    assert met["value"] == 3.0
    assert met["uplink_left"] > 0
    assert (met["price_bits"], met["price_joules"]) == (0.0, 0.0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.board.close()


async def test_every_frame_of_a_board_has_an_account_and_is_told_once(world: World) -> None:
    told: list[Decision] = []
    board = world.board = Board(
        AgentConfig(), world.clock, world.captures, world.engine, world.finished.append, decided=told.append
    )
    world.captures.deliver = board.arrive
    board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish()])
    await world.install("1")
    ended = await world.frames(5)
    assert [(each.seq, each.outcome) for each in told] == [(each.seq, each.outcome) for each in ended]
    newest = board.accounts[HARBOUR].of(CAMERA)
    assert newest is told[-1]
    assert newest.chosen == "local"
    assert set(newest.scores) >= {"local", "cloud"}
    assert newest.features["uplink_left"] > 0 < newest.features["slack"]
