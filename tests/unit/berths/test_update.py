"""The agent's own update on a box: it goes to the new agent or stays with the last good one, and never between."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.berths_disk import DiskBerths
from agent.adapters.state_sqlite import FORMAT, SqliteState
from agent.berths import progress
from agent.berths.choice import OUTSIDE, STARTS, Choice
from agent.berths.machine import State
from agent.berths.update import KEY, AgentWish
from agent.launcher import write
from agent.trust.errors import NotApproved, NotYet
from protos.errors import Fatal, Retryable
from protos.ids import Version
from tests.sim import agent_releases
from tests.sim.agent_box import AGENTS, CONFIRM, AgentBox, Faults, quickly
from tests.sim.trust import SimTrust

ONE, TWO, THREE = (agent_releases.make(version) for version in ("0.3.0", "0.3.1", "0.3.2"))


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AgentBox:
    quickly(monkeypatch)
    made = AgentBox(tmp_path / "state")
    made.blobs.add(ONE, TWO, THREE)
    return made


def choice(box: AgentBox) -> Choice:
    return DiskBerths(box.folder, "").choice()


async def test_a_box_goes_from_what_was_installed_to_a_and_on_to_b_and_to_a(box: AgentBox) -> None:
    for release, version, kept in ((ONE, "0.3.0", "a"), (TWO, "0.3.1", "b"), (THREE, "0.3.2", "a")):
        report = await box.lives(release, version)
        assert (report.state, report.active, report.message) == (State.IDLE, release.digest, "")
        assert choice(box) == Choice(kept)
    assert box.starts == [OUTSIDE, "a", "a", "b", "b", "a"]  # each twice: a test of it, and the one after


async def test_an_agent_that_falls_at_each_start_is_left_after_three(box: AgentBox) -> None:
    await box.lives(ONE, "0.3.0")
    box.faults, box.starts = Faults(falls=frozenset({TWO.digest})), []
    report = await box.lives(TWO, "0.3.1")
    assert (report.state, report.active) == (State.FAILED, ONE.digest)
    assert report.message == "it did not come to be confirmed in 3 starts; the agent before it runs again"
    assert report.refused == (TWO.digest,)
    assert box.starts == ["a", *["b"] * STARTS, "a"]
    assert choice(box) == Choice("a")


async def test_an_agent_that_cannot_be_loaded_costs_one_start_of_the_launcher(box: AgentBox) -> None:
    box.faults = Faults(unloadable=frozenset({ONE.digest}))
    report = await box.lives(ONE, "0.3.0")
    assert (report.state, report.refused) == (State.FAILED, (ONE.digest,))
    assert box.starts == [OUTSIDE, OUTSIDE]


async def test_an_agent_under_which_nothing_answers_is_left(box: AgentBox) -> None:
    await box.lives(ONE, "0.3.0")
    box.faults = Faults(sick=frozenset({TWO.digest}))
    report = await box.lives(TWO, "0.3.1")
    assert (report.state, report.active) == (State.FAILED, ONE.digest)
    assert "north did not answer" in report.message
    assert choice(box) == Choice("a")


async def test_an_agent_that_never_syncs_is_tried_three_times_and_then_refused(box: AgentBox) -> None:
    box.faults, box.starts = Faults(deaf=frozenset({ONE.digest})), []
    report = await box.lives(ONE, "0.3.0")
    assert (report.state, report.refused) == (State.FAILED, (ONE.digest,))
    assert box.starts.count("a") == 3
    assert "the last" in report.message


async def test_a_box_without_a_network_keeps_an_agent_that_takes_up_what_is_carried(box: AgentBox) -> None:
    box.network, box.by_hand = False, True
    report = await box.lives(ONE, "0.3.0")
    assert (report.state, report.active, choice(box)) == (State.IDLE, ONE.digest, Choice("a"))
    assert box.starts == [OUTSIDE, "a"]
    box.faults, box.starts = Faults(blind=frozenset({TWO.digest})), []
    report = await box.lives(TWO, "0.3.1")
    assert (report.state, report.active, choice(box)) == (State.FAILED, ONE.digest, Choice("a"))
    assert "what was carried here was not taken up" in report.message


async def test_an_agent_that_breaks_the_network_is_taken_back_though_it_takes_up_what_is_carried(
    box: AgentBox,
) -> None:
    box.faults = Faults(deaf=frozenset({ONE.digest}))  # the box had a network when it switched
    report = await box.lives(ONE, "0.3.0")
    assert (report.state, choice(box)) == (State.FAILED, Choice())
    assert report.message.startswith("given up after too many tries; the last: under it the control plane was not")


async def test_how_the_last_word_came_is_on_disk_before_the_switch(
    box: AgentBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.network, box.by_hand = False, True
    real, seen = DiskBerths.choose, list[bool]()

    def choose(berths: DiskBerths, choice: Choice) -> None:
        if choice.trial:
            seen.append(progress.from_bytes(box.state.get(KEY) or b"").carried)
        real(berths, choice)

    monkeypatch.setattr(DiskBerths, "choose", choose)
    await box.lives(ONE, "0.3.0")
    assert seen == [True]


async def test_an_environment_that_went_away_is_not_switched_to(box: AgentBox, monkeypatch: pytest.MonkeyPatch) -> None:
    install = DiskBerths.install

    def lost(berths: DiskBerths, berth: str, *more: Any) -> None:
        install(berths, berth, *more)
        (box.folder / "berths" / berth / "release").unlink()

    monkeypatch.setattr(DiskBerths, "install", lost)
    report = await box.lives(ONE, "0.3.0")
    assert (report.state, choice(box), box.starts) == (State.FAILED, Choice(), [OUTSIDE])


async def test_a_disk_that_fails_for_a_while_takes_no_good_trial_back(
    box: AgentBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = failing(monkeypatch, CONFIRM)
    report = await box.lives(ONE, "0.3.0")
    assert (report.state, report.active, choice(box)) == (State.IDLE, ONE.digest, Choice("a"))
    assert (len(failed), box.starts) == (int(CONFIRM), [OUTSIDE, "a"])


async def test_a_disk_that_fails_for_a_quarter_of_an_hour_takes_a_trial_back_and_refuses_nothing(
    box: AgentBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, 1000)
    await box.lives(ONE, "0.3.0", until=State.REVERTING)
    assert (box.update.record.refused, box.update.record.message) == ((), "/berths: Input/output error")
    monkeypatch.undo()
    quickly(monkeypatch)
    assert (await box.lives(ONE, "0.3.0")).active == ONE.digest


async def test_a_trial_that_was_kept_and_could_not_note_it_is_not_judged_again(
    box: AgentBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await box.lives(ONE, "0.3.0", until=State.RESTARTING)
    write(box.folder / "berths", Choice("a"))
    box.faults = Faults(sick=frozenset({ONE.digest}))
    monkeypatch.setattr("agent.berths.progress.resumed", lambda record, *_: replace(record, state=State.CONFIRMING))
    report = await box.lives(ONE, "0.3.0")
    assert (report.state, report.refused) == (State.IDLE, ())


def failing(patch: pytest.MonkeyPatch, times: float) -> list[Choice]:
    """The disk, when a trial is to be kept; what was tried."""
    tried: list[Choice] = []
    real = DiskBerths.choose

    def choose(berths: DiskBerths, choice: Choice) -> None:
        if not choice.trial and choice.kept == "a":
            tried.append(choice)
            if len(tried) <= times:
                raise Retryable("/berths: Input/output error")
            tried.pop()
        real(berths, choice)

    patch.setattr(DiskBerths, "choose", choose)
    return tried


async def test_what_was_refused_is_not_tried_again_and_a_newer_one_is(box: AgentBox) -> None:
    box.faults = Faults(falls=frozenset({ONE.digest}))
    await box.lives(ONE, "0.3.0")
    box.starts = []
    assert (await box.lives(ONE, "0.3.0")).state is State.FAILED
    assert box.starts == [OUTSIDE]
    assert (await box.lives(TWO, "0.3.1")).active == TWO.digest
    box.starts = []
    assert (await box.lives(ONE, "0.3.0")).message.startswith("refused before: it did not come to be confirmed")
    assert box.starts == ["a"]


async def test_a_berth_that_broke_later_is_passed_over_and_made_anew_in_the_other(box: AgentBox) -> None:
    await box.lives(ONE, "0.3.0")
    box.faults = Faults(unloadable=frozenset({ONE.digest}))
    assert box.start()
    assert (box.starts[-1], box.runs) == (OUTSIDE, None)
    await box.stop()
    box.faults = Faults()
    assert (await box.lives(TWO, "0.3.1")).active == TWO.digest


async def test_what_is_not_signed_is_waited_for_and_what_is_excluded_is_refused(box: AgentBox) -> None:
    trust = SimTrust(trouble={ONE.digest: NotYet("not signed yet"), TWO.digest: NotApproved("floor", "too old")})
    box.trust = trust
    waiting = await box.lives(ONE, "0.3.0", until=State.PULLING)
    assert (waiting.state, choice(box)) == (State.PULLING, Choice())
    refused = await box.lives(TWO, "0.3.1")
    assert (refused.state, refused.active) == (State.FAILED, "")
    assert "too old" in refused.message
    assert box.starts == [OUTSIDE, OUTSIDE]
    trust.trouble.clear()
    assert (await box.lives(TWO, "0.3.1")).active == TWO.digest


async def test_bytes_that_changed_on_the_way_are_refused(box: AgentBox) -> None:
    box.blobs.wrong[ONE.model_digest] = b"!" + ONE.model[1:]
    report = await box.lives(ONE, "0.3.0")
    assert (report.state, choice(box)) == (State.FAILED, Choice())
    assert "changed on the way" in report.message


async def test_without_a_launcher_a_box_says_who_updates_it_and_asks_again_when_there_is_one(
    box: AgentBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.launcher.picked", lambda *_: "")
    report = await box.lives(ONE, "0.3.0")
    assert report.state is State.FAILED
    assert "no launcher started this agent" in report.message
    monkeypatch.undo()
    quickly(monkeypatch)
    assert (await box.lives(ONE, "0.3.0")).active == ONE.digest


async def test_an_agent_from_outside_that_is_of_that_version_is_what_is_wanted(box: AgentBox) -> None:
    same = agent_releases.make("0.2.0")
    assert box.start()
    box.update.offer(AgentWish(AGENTS, Version("0.2.0"), same.digest))
    await box.clock.advance(1.0)
    report = box.update.reports()[0]
    await box.stop()
    assert (report.state, report.active) == (State.IDLE, same.digest)


async def test_the_same_offer_again_ends_no_wait(box: AgentBox) -> None:
    assert box.start()
    wish = AgentWish(AGENTS, Version("0.2.0"), agent_releases.make("0.2.0").digest)
    box.update.offer(wish)
    box.update._woken.clear()
    box.update.offer(wish)
    assert not box.update._woken.is_set()
    box.update.offer(None)
    assert box.update._woken.is_set()
    await box.stop()


async def test_an_agent_on_trial_leaves_the_format_of_the_box_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.db"
    SqliteState(path).close()
    monkeypatch.setattr("agent.adapters.state_sqlite.FORMAT", FORMAT + 1)
    SqliteState(path, on_trial=True).close()
    monkeypatch.setattr("agent.adapters.state_sqlite.FORMAT", FORMAT)
    SqliteState(path).close()  # the one before goes on
    monkeypatch.setattr("agent.adapters.state_sqlite.FORMAT", FORMAT + 1)
    SqliteState(path).close()  # confirmed
    monkeypatch.setattr("agent.adapters.state_sqlite.FORMAT", FORMAT)
    with pytest.raises(Fatal, match="written by a newer agent"):
        SqliteState(path)


async def test_a_trial_that_loses_its_record_goes_on(box: AgentBox) -> None:
    await box.lives(ONE, "0.3.0", until=State.RESTARTING)
    (box.folder / "state.db").unlink()
    assert (await box.lives(ONE, "0.3.0")).active == ONE.digest


async def test_a_choice_that_was_lost_starts_what_is_outside_and_the_box_updates_anew(box: AgentBox) -> None:
    await box.lives(ONE, "0.3.0")
    (box.folder / "berths" / "choice.json").write_bytes(b"\x00" * 50)
    box.starts = []
    assert (await box.lives(TWO, "0.3.1")).active == TWO.digest
    assert box.starts[0] == OUTSIDE


async def test_installed_anew_from_outside_nothing_is_left_under_way(box: AgentBox) -> None:
    await box.lives(ONE, "0.3.0", until=State.RESTARTING)
    write(box.folder / "berths", Choice())
    assert box.start()
    assert box.update.record.state is State.IDLE
    await box.stop()


async def test_an_agent_started_by_hand_beside_a_trial_takes_it_back_and_goes_on(
    box: AgentBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await box.lives(ONE, "0.3.0", until=State.RESTARTING)
    monkeypatch.setattr("agent.launcher.picked", lambda *_: "")
    box.starts = []
    assert (await box.lives(ONE, "0.3.0")).state is State.FAILED
    assert (box.starts, choice(box)) == ([""], Choice())
