"""How far a deployment has come down is one state with its reason: down at once, up when it held."""

from __future__ import annotations

import pytest

from agent.offload.ladder import HOLD_SECONDS, Facts, Ladder, Rung, judged

NOW = 1000.0
WELL = Facts("tensorrt", "tensorrt", cloud=True)


@pytest.mark.parametrize(
    ("facts", "rung", "says"),
    [
        (WELL, Rung.GPU, "tensorrt, as was asked for"),
        (Facts("cuda", "openvino-f32"), Rung.OTHER, "cuda does not run it: openvino-f32 does."),
        (Facts("tensorrt", "cuda", declined="TensorRT knows no NonZero."), Rung.OTHER, "TensorRT knows no NonZero."),
        (Facts("cuda", "cpu", cloud=True), Rung.CPU, "cuda does not run it: cpu does."),
        (Facts("cpu", "cpu"), Rung.CPU, "as was asked for"),
        (Facts("openvino-bf16", "openvino-bf16"), Rung.CPU, "as was asked for"),
        (Facts("cuda", cloud=True), Rung.CLOUD, "the cloud answers"),
        (Facts("cuda", "cuda", lowered=3), Rung.LOWER_RATE, "3 cameras give fewer"),
        (
            Facts("cuda", "cuda", lowered=1, lowest="gate 5 of 10 a second"),
            Rung.LOWER_RATE,
            "ones: gate 5 of 10 a second.",
        ),
        (Facts("cuda", cloud=True, lowered=1), Rung.LOWER_RATE, "one camera gives fewer"),
        (Facts("cuda", lowered=1), Rung.NOTHING, "Nothing answers"),
    ],
)
def test_the_lowest_rung_that_a_fact_tells_of_is_shown_with_its_reason(facts: Facts, rung: Rung, says: str) -> None:
    shown, why = judged(facts)
    assert shown is rung
    assert says in why
    assert why.endswith(".")


def test_the_first_look_takes_a_deployment_to_where_it_is() -> None:
    ladder = Ladder()
    assert ladder.look(WELL, NOW)
    assert (ladder.rung, ladder.since) == (Rung.GPU, NOW)


def test_it_comes_down_rung_by_rung_at_the_very_look_that_tells_of_it() -> None:
    ladder = Ladder()
    rungs = [
        WELL,
        Facts("tensorrt", "cuda", cloud=True),
        Facts("tensorrt", "cpu", cloud=True),
        Facts("tensorrt", cloud=True),
        Facts("tensorrt", cloud=True, lowered=2),
        Facts("tensorrt"),
    ]
    for number, facts in enumerate(rungs):
        assert ladder.look(facts, NOW + number / 100)
    assert list(Rung)[-1] is ladder.rung


def test_it_goes_up_when_what_is_better_held_and_not_before() -> None:
    ladder = Ladder()
    ladder.look(Facts("cuda", cloud=True), NOW)
    well = Facts("cuda", "cuda", cloud=True)
    assert not ladder.look(well, NOW + 1)
    assert ladder.wake_at == NOW + 1 + HOLD_SECONDS
    assert not ladder.look(well, NOW + 5.9)
    assert ladder.look(well, NOW + 6)
    assert ladder.rung is Rung.GPU
    assert ladder.wake_at is None


def test_an_engine_that_dies_again_and_again_is_shown_as_down() -> None:
    ladder = Ladder()
    ladder.look(Facts("cuda", cloud=True), NOW)
    for second in range(60):
        engine = "cuda" if second % 3 else ""
        assert not ladder.look(Facts("cuda", engine, cloud=True), NOW + second)
    assert ladder.rung is Rung.CLOUD


def test_a_reason_that_changes_is_told_without_a_change_of_the_rung() -> None:
    ladder = Ladder()
    ladder.look(Facts("cuda", "cuda", lowered=3), NOW)
    assert not ladder.look(Facts("cuda", "cuda", lowered=4), NOW + 2)
    assert "4 cameras" in ladder.why
    assert ladder.since == NOW
