"""What a manifest tells → what a lane decides by; where it tells nothing, careful priors that say so."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent.offload.profile import PRIOR, JpegPoint, SizeProfile
from agent.pipeline.worth import profile
from protos.judged import Judged, JudgedJpeg, JudgedVariant

CURVE = ((0.1, 0.02), (0.9, 0.97))
TOLD = Judged(
    "mAP50",
    512,
    20716,
    (JudgedVariant("fp32", 0.92, 0.81, CURVE), JudgedVariant("int8", 0.91, 0.79, ((0.1, 0.01), (0.9, 0.95)))),
    (JudgedJpeg(70, 320, 9800, 0.90, 0.78), JudgedJpeg(30, 160, 2300, 0.67, 0.31)),
)


def test_the_variant_that_runs_here_answers_here_and_the_best_one_in_the_cloud() -> None:
    found = profile(TOLD, "int8")
    assert found.measured
    assert found.sizes == (SizeProfile("", 0.79),)
    assert found.cloud == 0.81
    assert found.confidence == ((0.1, 0.01), (0.9, 0.95))
    assert found.jpeg == (JpegPoint(30, 160, 2300, 0.31), JpegPoint(70, 320, 9800, 0.78))


def test_a_release_that_nobody_evaluated_has_careful_priors_which_say_so() -> None:
    assert profile(None, "fp32") is PRIOR
    assert not PRIOR.measured


def test_a_variant_that_was_added_later_and_not_evaluated_has_careful_priors() -> None:
    assert profile(TOLD, "fp16") is PRIOR


def test_what_was_not_measured_of_a_variant_is_a_prior_and_the_rest_is_not() -> None:
    bare = replace(TOLD, variants=(JudgedVariant("fp32", 0.92, 0.81, ((0.5, 0.5),)),), jpeg=())
    found = profile(bare, "fp32")
    assert (found.sizes[0].metric, found.jpeg, found.confidence) == (0.81, PRIOR.jpeg, PRIOR.confidence)


points = st.builds(
    JudgedJpeg,
    quality=st.integers(1, 100),
    max_side=st.just(320),
    bytes=st.integers(1, 40_000),
    metric=st.just(0.5),
    right=st.integers(1, 10_000).map(lambda parts: parts / 10_000),
)


@given(st.lists(points, min_size=1, max_size=12), st.floats(0, 1e-3))
def test_no_way_that_is_best_at_some_price_of_a_byte_is_left_out(told: list[JudgedJpeg], price: float) -> None:
    kept = profile(replace(TOLD, jpeg=tuple(told)), "fp32").jpeg
    best = max([0.0, *(each.right - price * each.bytes for each in told)])
    assert abs(max([0.0, *(each.metric - price * each.bytes for each in kept)]) - best) < 1e-9
    assert [each.bytes for each in kept] == sorted({each.bytes for each in kept})


def test_a_way_that_takes_more_bytes_and_is_not_answered_better_is_left_out() -> None:
    told = (*TOLD.jpeg, JudgedJpeg(85, 160, 9900, 0.8, 0.6), JudgedJpeg(20, 320, 9800, 0.8, 0.77))
    assert profile(replace(TOLD, jpeg=told), "fp32").jpeg == profile(TOLD, "fp32").jpeg


def test_ways_that_nothing_is_right_on_are_no_ways() -> None:
    useless = replace(TOLD, jpeg=(JudgedJpeg(30, 16, 500, 0.0, 0.0),))
    assert profile(useless, "fp32").jpeg == PRIOR.jpeg
