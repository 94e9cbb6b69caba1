"""The pure parts of an engine: its life as a table, its patience, its checks, the layout of BYTES."""

from __future__ import annotations

import itertools
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inference import lifecycle, requests, runtime
from agent.inference.datatypes import check_size, pack_bytes, unpack_bytes
from agent.inference.errors import BadInput, BadModel
from agent.inference.lifecycle import TRANSITIONS, Event, State
from agent.inference.outputs import label_of, with_labels
from agent.inference.patience import AT_LEAST, MOST_ROWS, Patience
from agent.ports import ModelSignature, Tensor, TensorSpec
from protos.errors import Fatal, LongshoreError, Retryable


def test_every_state_can_be_closed() -> None:
    assert all(TRANSITIONS[state, Event.CLOSE] is State.CLOSED for state in State)


def test_what_cannot_happen_is_a_bug_and_says_so() -> None:
    for state, event in itertools.product(State, Event):
        if (state, event) not in TRANSITIONS:
            with pytest.raises(Fatal, match="bug"):
                lifecycle.after(state, event)


@pytest.mark.parametrize("state", set(State) - {State.READY})
def test_only_a_ready_engine_takes_calls(state: State) -> None:
    lifecycle.check_ready(State.READY)
    with pytest.raises(Retryable):
        lifecycle.check_ready(state)


@pytest.mark.parametrize(
    ("codes", "error"),
    [
        ((-signal.SIGSEGV, -signal.SIGABRT), BadModel),
        ((-signal.SIGSEGV, -signal.SIGKILL), Retryable),
        ((-signal.SIGKILL, -signal.SIGSEGV), Retryable),
        ((-signal.SIGILL, -signal.SIGILL), Retryable),
        ((1, 1), Retryable),
        ((0, 0), Retryable),
        ((None, -signal.SIGSEGV), Retryable),
    ],
)
def test_a_model_is_at_fault_when_each_try_to_load_it_crashed(
    codes: tuple[int | None, ...], error: type[LongshoreError]
) -> None:
    assert type(lifecycle.blamed(codes, Retryable("the last try"))) is error


def test_patience_is_fifty_times_the_usual_and_at_least_ten_seconds() -> None:
    patience = Patience()
    assert patience.limit(0.0) == AT_LEAST
    for _ in range(200):
        patience.learn(1.0)
    assert patience.limit(0.0) == pytest.approx(50.0)
    assert patience.limit(0.3) == pytest.approx(50.3)


def test_patience_grows_with_the_examples_of_a_request() -> None:
    patience = Patience()
    patience.learn(8.0, rows=4)
    assert patience.usual == pytest.approx(2.0)
    assert patience.limit(0.3, rows=10) == pytest.approx(1000.3)
    assert patience.limit(0.0, rows=10**9) == patience.limit(0.0, rows=MOST_ROWS)


@pytest.mark.parametrize(
    ("declared", "came", "rows"),
    [((-1, 3), (7, 3), 7), ((-1, 3), (0, 3), 1), ((4, 3), (4, 3), 1), ((-1,), (1000,), 1), ((), (), 1)],
)
def test_examples_are_counted_along_a_free_first_side(
    declared: tuple[int, ...], came: tuple[int, ...], rows: int
) -> None:
    signature = ModelSignature((TensorSpec("x", "UINT8", declared),), ())
    assert requests.rows(signature, [Tensor("x", "UINT8", came, b"")]) == rows


def test_only_the_oldest_call_is_timed() -> None:
    patience = Patience()
    assert not patience.overdue(1e9)
    patience.head(1, 100.0, 10.0)
    assert not patience.overdue(110.0)
    patience.head(1, 109.0, 10.0)  # a younger one was answered
    assert patience.overdue(110.1)
    patience.head(2, 110.2, 10.0)
    assert not patience.overdue(115.0)
    patience.idle()
    assert not patience.overdue(1e9)


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_bytes_elements_come_back_as_they_went(items: list[bytes]) -> None:
    assert [bytes(item) for item in unpack_bytes("x", pack_bytes(items), len(items))] == items


@given(st.binary(max_size=40), st.integers(0, 5))
def test_no_bytes_break_the_reader(data: bytes, count: int) -> None:
    try:
        items = unpack_bytes("x", data, count)
    except BadInput:
        return
    assert pack_bytes(bytes(item) for item in items) == data


@pytest.mark.parametrize(
    ("datatype", "shape", "nbytes"),
    [
        ("FP32", (2, 2), 15),
        ("FP7", (1,), 1),
        ("FP32", (-1,), 4),
        ("FP32", (1,) * 40, 4),
        ("FP32", (1 << 40, 0), 0),
        ("FP32", (10**5000, 0), 0),
        ("FP32", (0, 2**31 - 1, 2**31 - 1), 0),
    ],
)
def test_a_size_that_cannot_be_is_refused(datatype: str, shape: tuple[int, ...], nbytes: int) -> None:
    with pytest.raises(BadInput):
        check_size("x", datatype, shape, nbytes)


def test_a_class_without_a_label_is_named_by_its_number() -> None:
    assert [label_of(("boat",), index) for index in (0, 1, -1)] == ["boat", "1", "-1"]


def test_labels_are_made_only_where_they_are_asked_for() -> None:
    classes = Tensor("classes", "INT64", (1, 1), (0).to_bytes(8, "little"))
    assert [tensor.name for tensor in with_labels([classes], ("boat",), None)] == ["classes", "labels"]
    (only,) = with_labels([classes], ("boat",), ["labels"])
    assert bytes(only.data) == pack_bytes([b"boat"])


@pytest.mark.parametrize(
    ("distributions", "provider", "words"),
    [
        (
            {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.0"},
            "cpu",
            "py -m pip uninstall --yes onnxruntime onnxruntime-gpu && py -m pip install 'onnxruntime>=1.32,<1.33'",
        ),
        (
            {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.0"},
            "cuda",
            "py -m pip uninstall --yes onnxruntime onnxruntime-gpu && py -m pip install 'onnxruntime-gpu>=1.31,<1.32'",
        ),
        ({}, "cpu", "py -m pip install 'onnxruntime>=1.32,<1.33'"),
        ({"onnxruntime": "1.32.0"}, "tensorrt", "py -m pip uninstall --yes onnxruntime && py -m pip install 'onnxr"),
    ],
)
def test_runtimes_that_exclude_each_other_are_found_with_the_line_that_mends_it(
    distributions: dict[str, str], provider: str, words: str
) -> None:
    sentence = runtime.trouble(distributions, provider, "py")
    assert sentence is not None
    assert words in sentence


def test_one_fitting_runtime_is_no_trouble() -> None:
    assert runtime.trouble({"onnxruntime": "1.32.0"}, "cpu") is None
    assert runtime.trouble({"onnxruntime-gpu": "1.31.0"}, "cuda") is None
    assert runtime.trouble({"onnxruntime-gpu": "1.31.0"}, "cpu") is None
    assert "onnxruntime" in runtime.installed()
