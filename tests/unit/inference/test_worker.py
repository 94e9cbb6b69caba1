"""What becomes of a call that goes wrong in the worker: an answer, and the worker goes on."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from agent.inference.datatypes import pack_bytes
from agent.inference.errors import BadInput, BadModel, Expired
from agent.inference.messages import (
    Detach,
    Detect,
    Failed,
    Infer,
    Inferred,
    Load,
    Loaded,
    Reason,
    SlotIn,
    TensorIn,
    ToWorker,
)
from agent.inference.worker import Answer, Worker, answer
from agent.types import Geometry
from protos.errors import Fatal, Retryable
from tests.sim.models import identity

DETECT = Detect(7, [SlotIn(1, 0, Geometry(64, 32, 1.0, 1.0, 0, 0))], 0.5, 0.0)


class Failing(Worker):
    """Every message ends with the same error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def handle(self, message: ToWorker, fds: Sequence[int]) -> Answer | None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BadInput("x"), Reason.INPUT),
        (ValueError("cannot reshape array\nof size 0"), Reason.INPUT),
        (BadModel("x"), Reason.MODEL),
        (Expired("x"), Reason.EXPIRED),
        (Retryable("x"), Reason.AGAIN),
        (MemoryError(), Reason.AGAIN),
        (Fatal("x"), Reason.BOX),
    ],
)
def test_what_goes_wrong_with_a_call_is_its_answer(error: Exception, reason: Reason) -> None:
    said = answer(Failing(error), DETECT, [])
    assert said is not None
    assert isinstance(said[0], Failed)
    assert (said[0].call, said[0].reason) == (7, reason)
    assert "\n" not in said[0].message


def test_what_goes_wrong_without_a_call_ends_the_worker() -> None:
    with pytest.raises(ValueError, match="x"):
        answer(Failing(ValueError("x")), Detach(1), [])


def test_texts_of_a_shape_that_claims_more_than_came_cost_nothing() -> None:
    worker = Worker()
    fd = os.memfd_create("model")
    os.write(fd, identity("BYTES", (-1, -1)).spec.model)
    loaded = answer(worker, Load(1, "tensor", None, "cpu", 1), [fd])
    assert loaded is not None
    assert isinstance(loaded[0], Loaded)
    for shape in ((2**15, 2**15), (2**31 - 1, 2**31 - 1)):
        said = answer(worker, Infer(2, [_texts(shape)], None, None, 0.0, None, 0.0), [])
        assert said is not None
        assert isinstance(said[0], Failed)
        assert said[0].reason is Reason.INPUT
    said = answer(worker, Infer(3, [_texts((2, 1), b"a", b"b")], None, None, 0.0, None, 0.0), [])
    assert said is not None
    assert isinstance(said[0], Inferred)


def _texts(shape: tuple[int, ...], *texts: bytes) -> TensorIn:
    content = pack_bytes(texts)
    return TensorIn("x", "BYTES", shape, len(content), inline=content)
