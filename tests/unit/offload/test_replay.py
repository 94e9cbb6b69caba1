"""A log is replayed: what was decided, and what other prices would have earned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.main import cli
from agent.offload import replay
from agent.offload.decisions import Decision, written
from agent.offload.explain import Draw
from agent.replaying import replayed
from protos.errors import Rejected
from protos.ids import DeploymentName
from protos.outcomes import Outcome
from tests.sim.decisions import decided, lived


@pytest.fixture(scope="module")
def lives() -> list[Decision]:
    """A minute of a busy box whose uplink is narrow: going up is priced until it is no better than staying."""
    return list(lived(60.0))


def test_what_was_decided_is_counted_by_way_with_what_came_of_it(lives: list[Decision]) -> None:
    found = replay.routes(lives)
    assert sum(each.frames for each in found) == len(lives)
    assert [each.frames for each in found] == sorted((each.frames for each in found), reverse=True)
    by_way = {each.chosen: each for each in found}
    assert by_way["local"].uplink_bytes == 0 < by_way["cloud"].uplink_bytes
    assert all(0 <= each.in_time <= 1 and 0 <= each.worth <= 1 for each in found)


def test_at_no_price_all_goes_up_and_at_any_none_does(lives: list[Decision]) -> None:
    found = replay.choice(lives, (0.0, 1e6), again=False)
    assert found.by_chance > 300, "prices find the point where both ways are as good"
    others = {each.name: each for each in found.others}
    assert others["no price"].uplink_bytes.normalised.value == pytest.approx(18_000)
    assert others["price × 1e+06"].uplink_bytes.gain.high < 0 < others["no price"].uplink_bytes.gain.low
    assert others["no price"].worth.gain.value == pytest.approx(others["always up"].worth.gain.value)


def test_what_the_replay_says_of_staying_is_what_those_that_stayed_were_worth(lives: list[Decision]) -> None:
    """The world is the same for all frames, so this can be looked up."""
    never = next(each for each in replay.choice(lives, again=False).others if each.name == "never up")
    stayed = [each.reward for each in lives if any(not draw.went and not draw.again for draw in each.draws)]
    truth = sum(stayed) / len(stayed)
    assert never.worth.normalised.value == pytest.approx(truth, abs=0.02)
    assert never.worth.unbiased.low < truth < never.worth.unbiased.high


def test_the_two_choices_of_a_frame_are_apart(lives: list[Decision]) -> None:
    first, second = (replay.choice(lives, again=again) for again in (False, True))
    assert first.choices > second.choices > 0
    assert first.choices + second.choices == sum(len(each.draws) for each in lives)


def logged(folder: Path, made: list[Decision], name: str = "decisions.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"".join(written(each, 0.01) for each in made))
    return path


def test_a_log_is_told_as_tables(lives: list[Decision], tmp_path: Path) -> None:
    shown = CliRunner().invoke(cli, ["replay-decisions", str(logged(tmp_path, lives)), "--price", "0.5"])
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert lines[0].startswith(f"harbour: {len(lives)} decisions, 1 % of all, ")
    assert lines[2].split() == ["CHOSEN", "FRAMES", "SHARE", "IN", "TIME", "WORTH", "SENT"]
    assert any(line.startswith("price × 0.5  ") for line in lines)
    assert not any("×" in line and not line.startswith("price × 0.5") for line in lines)
    assert "fewer than 100 choices left to chance" in shown.output, "of the second one"


def test_a_folder_is_read_from_its_older_file_on(tmp_path: Path) -> None:
    logged(tmp_path, [decided(1)], "decisions.1.jsonl")
    logged(tmp_path, [decided(2)]).open("ab").write(b"half a li")
    shown = replayed(tmp_path, "", (), as_json=True)
    assert json.loads(shown)["passedOver"] == 1
    assert json.loads(shown)["deployments"][0]["decisions"] == 2
    assert "1 lines are no decisions" in replayed(tmp_path, "", (), as_json=False)


def test_in_json_a_number_that_nobody_knows_is_null(tmp_path: Path) -> None:
    certain = decided(draws=[])
    told = json.loads(replayed(logged(tmp_path, [decided(), certain]), "", (), as_json=True))
    never = next(each for each in told["deployments"][0]["choices"][0]["others"] if each["name"] == "never up")
    assert never["worth"]["normalised"]["value"] is None


def test_where_nothing_was_left_to_chance_that_is_said(tmp_path: Path) -> None:
    certain = decided(draws=[Draw(again=False, ahead=0.3, price=0.0, likely=1.0, went=True)])
    assert "nothing was left to chance" in replayed(logged(tmp_path, [certain]), "", (), as_json=False)


def test_a_log_without_such_decisions_says_what_to_do(tmp_path: Path) -> None:
    path = logged(tmp_path, [])
    with pytest.raises(Rejected, match="LONGSHORE_AGENT_DECISION_LOG"):
        replayed(path, "", (), as_json=False)
    path = logged(tmp_path, [decided(outcome=Outcome.SHED, chosen="shed")])
    with pytest.raises(Rejected, match=r"no decision of yard; it has some of harbour"):
        replayed(path, DeploymentName("yard"), (), as_json=False)
