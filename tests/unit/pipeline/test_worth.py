"""What a manifest tells → what a lane decides by; where it tells nothing, careful priors that say so."""

from __future__ import annotations

from dataclasses import replace

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
    assert found.jpeg == (JpegPoint(70, 320, 9800, 0.78), JpegPoint(30, 160, 2300, 0.31))


def test_a_release_that_nobody_evaluated_has_careful_priors_which_say_so() -> None:
    assert profile(None, "fp32") is PRIOR
    assert not PRIOR.measured


def test_a_variant_that_was_added_later_and_not_evaluated_has_careful_priors() -> None:
    assert profile(TOLD, "fp16") is PRIOR


def test_what_was_not_measured_of_a_variant_is_a_prior_and_the_rest_is_not() -> None:
    bare = replace(TOLD, variants=(JudgedVariant("fp32", 0.92, 0.81, ((0.5, 0.5),)),), jpeg=())
    found = profile(bare, "fp32")
    assert (found.sizes[0].metric, found.jpeg, found.confidence) == (0.81, PRIOR.jpeg, PRIOR.confidence)
