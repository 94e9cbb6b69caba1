"""What a box tells of a frame that somebody asks about."""

from __future__ import annotations

from agent import explaining
from agent.offload.explain import Account, Score
from agent.pipeline.accounts import Accounts
from agent.types import Finished, Tap
from protos.fleet_pb2 import FrameAccounts, FrameWish, SnapshotWish
from protos.ids import CameraName, DeploymentName, digest_of
from protos.outcomes import Outcome

QUAY = CameraName("quay")
WATCH, COUNT = DeploymentName("watch"), DeploymentName("count")
NOW = 1_795_000_100.0


def kept(name: DeploymentName, *seqs: int) -> Accounts:
    made = Accounts()
    for seq in seqs:
        scores = {"local": Score(0.5, 0.9, 0.0, 0.5), "cloud": Score(0.0, 0.0, 0.0, 0.0, "no cloud")}
        made.begun(Account(QUAY, seq, 0.0, scores=scores, chosen="local", size="s", why_size="no time for what comes"))
        captured = int((NOW - 10 + seq) * 1e9)
        ended = Finished(Tap(QUAY, name), seq, Outcome.OK_LOCAL, 1.0, captured, 1.05, release=digest_of(b"1"))
        made.ended(ended, lambda _: 0.6)
    return made


BOX = {WATCH: kept(WATCH, 1, 2, 3), COUNT: kept(COUNT, 3, 4)}


def asked(
    seq: int = 0, deployment: str = "", camera: str = "quay", box: dict[DeploymentName, Accounts] = BOX
) -> FrameAccounts:
    wish = SnapshotWish(number=9, camera=camera, frame=FrameWish(seq=seq, deployment=deployment))
    told = explaining.answer(wish, box, NOW)
    assert (told.wish, told.camera) == (9, camera)
    return told


def test_each_deployment_that_the_frame_was_for_gives_its_account() -> None:
    told = asked(3)
    assert [(each.deployment, each.seq) for each in told.accounts] == [("count", 3), ("watch", 3)]
    assert [(each.deployment, each.seq) for each in asked().accounts] == [("count", 4), ("watch", 3)], "the newest"
    assert [each.deployment for each in asked(3, "watch").accounts] == ["watch"]


def test_an_account_is_told_whole() -> None:
    (account,) = asked(3, "watch").accounts
    assert [(each.action, each.why_not) for each in account.scores] == [("local", ""), ("cloud", "no cloud")]
    assert (account.chosen, account.outcome, account.ran_on) == ("local", "ok_local", "local")
    assert (account.size, account.why_size) == ("s", "no time for what comes")
    assert round(account.latency_ms) == 50
    assert account.captured_unix_ms == (NOW - 7) * 1000
    assert account.why.startswith("It was run on the box: worth 0.500, 90% likely in time; the cloud: no cloud")


def test_a_frame_that_is_not_known_any_more_says_which_are() -> None:
    told = asked(17)
    assert not told.accounts
    assert "#1 to #4, of the last 9 s" in told.failure
    assert "without a number for the newest" in told.failure


def test_a_camera_that_gave_no_frame_and_a_deployment_that_is_not_here_say_so() -> None:
    assert "'longshore describe camera gate'" in asked(camera="gate").failure
    assert asked(3, "nobody").failure == "no deployment nobody runs on this box; these do: count, watch"
    assert "no deployment runs on this box" in asked(3, box={}).failure
