"""A log is replayed: what was decided, and what other prices would have earned."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.main import cli
from agent.offload import replay
from agent.offload.decisions import Decision, written
from agent.offload.explain import Draw
from agent.offload.profile import PRIOR
from agent.replaying import replayed
from protos.errors import Rejected
from protos.ids import DeploymentName
from protos.outcomes import Outcome
from tests.sim.decisions import decided, lived

WORTH = {True: 0.75, False: 0.6}  # of a frame that goes up, and of one that stays


@pytest.fixture(scope="module")
def lives() -> list[Decision]:
    """A minute of the real lane, busy."""
    return list(lived(60.0))


def nearly_parted(count: int = 2000) -> list[Decision]:
    """Frames for which both ways are about as good, at a price that halves what going up is worth."""
    rng, made = random.Random(5), []
    for seq in range(count):
        ahead = rng.uniform(-0.02, 0.02)
        likely = 1 / (1 + math.exp(-ahead / 0.003))
        went = rng.random() < likely
        right, sent = min(1.0, WORTH[went] + rng.uniform(-0.1, 0.1)), 20_000 if went else 0
        draws = [Draw(again=False, ahead=ahead, price=0.025, likely=likely, went=went)]
        made.append(decided(seq, "cloud" if went else "local", draws=draws, right=right, uplink_bytes=sent))
    return made


def test_what_was_decided_is_counted_by_way_with_what_came_of_it(lives: list[Decision]) -> None:
    found = replay.routes(lives)
    assert sum(each.frames for each in found) == len(lives)
    assert [each.frames for each in found] == sorted((each.frames for each in found), reverse=True)
    by_way = {each.chosen: each for each in found}
    assert by_way["local"].uplink_bytes == 0 < by_way["cloud"].uplink_bytes
    assert all(0 <= each.in_time <= 1 and 0 <= each.worth <= 1 for each in found)


def test_with_the_same_release_on_box_and_cloud_no_way_is_worth_more_than_the_other() -> None:
    shares = (replace(PRIOR.sizes[0], metric=0.95),), (replace(PRIOR.jpeg[0], metric=0.95),)
    found = replay.routes(list(lived(20.0, profile=replace(PRIOR, sizes=shares[0], cloud=0.95, jpeg=shares[1]))))
    assert {"local", "cloud"} <= {each.chosen for each in found}
    for each in found:
        assert each.worth == pytest.approx(0.95 * each.in_time), each.chosen


def test_what_a_lane_left_to_chance_has_its_odds_and_came_out_by_them(lives: list[Decision]) -> None:
    drawn = [draw for each in lives for draw in each.draws if 0.01 <= draw.likely <= 0.99]
    assert len(drawn) > 10
    expected, spread = sum(each.likely for each in drawn), sum(each.likely * (1 - each.likely) for each in drawn)
    assert abs(sum(each.went for each in drawn) - expected) <= 3 * math.sqrt(spread)


def test_another_price_is_worth_what_those_earned_that_went_as_it_would_have_sent_them() -> None:
    made = nearly_parted()
    found = {each.name: each for each in replay.choice(made, (0.0, 1.0, 2.0), again=False).others}
    for name, worth, sent in (("always up", 0.75, 20_000), ("never up", 0.6, 0), ("price × 2", 0.6, 0)):
        assert found[name].worth.normalised.value == pytest.approx(worth, abs=0.01)
        assert found[name].uplink_bytes.normalised.value == pytest.approx(sent, abs=1)
    assert found["no price"].worth == found["always up"].worth, "without it, going up is always ahead"
    best = found["price × 1"].worth
    assert (best.told, best.gain.low < 0 < best.gain.high) == (len(made), True), "as it was decided, but for chance"
    assert found["always up"].worth.told < len(made), "where it had no chance, nothing is told"


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
    assert "fewer than 100 choices left to chance" in shown.output


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
    told = replayed(logged(tmp_path, [certain]), "", (), as_json=False)
    assert "nothing was left to chance" in told
    assert "longshore package --evaluate" in told, "it may not have been"


@pytest.mark.parametrize(("again", "likely"), [(True, 1.0), (False, 0.9999)])
def test_where_two_ways_never_were_as_good_nobody_is_told_to_evaluate_a_release_that_was(
    again: bool, likely: float, tmp_path: Path
) -> None:
    certain = decided(draws=[Draw(again=again, ahead=0.3, price=0.0, likely=likely, went=True)])
    told = replayed(logged(tmp_path, [certain]), "", (), as_json=False)
    assert "nothing was left to chance" in told
    assert "evaluate" not in told


def test_a_log_without_such_decisions_says_what_to_do(tmp_path: Path) -> None:
    path = logged(tmp_path, [])
    with pytest.raises(Rejected, match="LONGSHORE_AGENT_DECISION_LOG"):
        replayed(path, "", (), as_json=False)
    path = logged(tmp_path, [decided(outcome=Outcome.SHED, chosen="shed")])
    with pytest.raises(Rejected, match=r"no decision of yard; it has some of harbour"):
        replayed(path, DeploymentName("yard"), (), as_json=False)
