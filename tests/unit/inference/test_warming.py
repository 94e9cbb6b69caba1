"""Calls of several frames, measured where they may pay: by real sessions of models whose cost is known in kind."""

from __future__ import annotations

import time

import numpy as np

from agent.inference.graph import Array
from agent.inference.lanes import SHORT_SECONDS
from agent.inference.session import Session
from agent.inference.warming import Took, batches, clock_of_calls, fastest, in_numbers
from agent.offload.cost import CostLine
from agent.ports import ModelSignature, TensorSpec
from tests.sim.models import Sample, convolutions, detector

TINY = detector(8, 8)  # a call is nearly all of its cost
SHORT = SHORT_SECONDS / 10  # of a frame alone, so that calls of several are measured


def measured(sample: Sample, seconds: float = SHORT, provider: str = "cpu") -> list[int]:
    """Frames in the calls that were measured."""
    session = Session(sample.spec.model)
    return [frames for frames, _ in batches(session, sample.spec.task, sample.spec.input, provider, seconds)]


def test_a_model_that_is_mostly_the_call_gets_batches_on_a_cpu_and_the_line_says_they_pay() -> None:
    session = Session(TINY.spec.model)
    found = batches(session, "detection", TINY.spec.input, "cpu", SHORT)
    assert [frames for frames, _ in found] == [2, 4, 8]
    assert CostLine([(1, SHORT), *found]).pays(8)


def test_a_model_of_more_than_a_moment_gets_none_on_a_cpu() -> None:
    assert measured(TINY, SHORT_SECONDS) == []
    assert measured(TINY, SHORT_SECONDS, "cuda") != []
    assert measured(TINY, SHORT_SECONDS, "tensorrt") == []


def test_what_does_not_pay_is_measured_no_further() -> None:
    assert measured(TINY, seconds=1e-9) == []


def test_a_graph_of_one_frame_a_call_gets_none() -> None:
    fixed = Session(TINY.spec.model)
    inputs = (TensorSpec("image", "UINT8", (1, 8, 8, 3)),)
    fixed.signature = ModelSignature(inputs, fixed.signature.outputs)
    assert batches(fixed, "detection", TINY.spec.input, "cpu", SHORT) == []


def test_a_graph_that_does_not_answer_for_each_frame_gets_none() -> None:
    """Its boxes are constants of one frame, whatever it is given."""
    assert measured(convolutions(16, 1)) == []


def says_numbers(sane_below: float) -> bool:
    sample = detector(sane_below=sane_below)
    session = Session(sample.spec.model)
    assert sample.spec.input is not None
    black = session.run({"image": np.zeros((1, *sample.spec.input.shape), np.uint8)})
    return in_numbers(session, sample.spec.input, black)


def test_a_detector_that_answers_no_picture_with_numbers_is_found_out() -> None:
    assert not says_numbers(0.0)
    assert says_numbers(0.001)  # black is
    assert says_numbers(2.0)


def test_a_detector_that_divides_by_the_contrast_of_black_is_no_fault() -> None:
    sample = detector()
    black = [np.full(shape, np.nan, np.float32) for shape in ((1, 4, 4), (1, 4), (1, 4))]
    assert in_numbers(Session(sample.spec.model), sample.spec.input, black)


def test_the_fastest_is_taken_by_either_clock() -> None:
    ticks = iter([0.0, 5.0, 10.0, 12.0, 20.0, 24.0])
    took = fastest(lambda: None, lambda: next(ticks))
    assert took.model == 2.0
    assert isinstance(took, Took)
    assert took.seconds < 1.0


def test_a_graph_that_fails_on_several_frames_gets_none() -> None:
    class Failing(Session):
        def run(self, feeds: object, outputs: object = None) -> list[Array]:
            from protos.errors import Retryable

            raise Retryable("not enough memory for this inference")

    assert batches(Failing(TINY.spec.model), "detection", TINY.spec.input, "cpu", SHORT) == []


def test_calls_tell_time_of_the_model_alone_or_none_where_nobody_knows_what_its_threads_waited() -> None:
    assert clock_of_calls("cpu") is time.thread_time
    assert clock_of_calls("cuda") is time.perf_counter
    untold = clock_of_calls("openvino-bf16")
    assert untold() == untold() == 0.0
