"""Requests that are formed alike are checked once, and none passes that would not have."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable

import pytest

from agent.inference.errors import BadInput
from agent.inference.requests import Checks, check, rows
from agent.ports import ModelSignature, Tensor, TensorSpec

SIGNATURE = ModelSignature((TensorSpec("a", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),))
PICTURES = ModelSignature((TensorSpec("image", "UINT8", (-1, 2, 2, 3)),), (TensorSpec("labels", "BYTES", (-1,)),))


def floats(*shape: int, count: int = 2, name: str = "a", datatype: str = "FP32") -> Tensor:
    return Tensor(name, datatype, shape, struct.pack(f"<{count}f", *range(count)))


REQUESTS: list[tuple[list[Tensor], list[str] | None]] = [
    ([floats(1, 2)], None),
    ([floats(2, 2, count=4)], None),
    ([floats(1, 2)], ["y"]),
    ([floats(1, 2)], ["z"]),
    ([floats(1, 2)], ["y", "y"]),
    ([floats(1, 2, count=3)], None),
    ([floats(2, 1)], None),
    ([floats(1, 2, name="b")], None),
    ([floats(1, 2, datatype="INT32")], None),
    ([floats(1, 2), floats(1, 2)], None),
    ([], None),
]


@pytest.mark.parametrize(("before", "now"), list(itertools.product(REQUESTS, REQUESTS)))
def test_what_passed_before_lets_nothing_else_through(
    before: tuple[list[Tensor], list[str] | None], now: tuple[list[Tensor], list[str] | None]
) -> None:
    checks = Checks(SIGNATURE, image=False)
    assert seen(lambda: checks.passed(*before)) == seen(lambda: fresh(*before))
    assert seen(lambda: checks.passed(*now)) == seen(lambda: fresh(*now))


def test_outputs_that_the_caller_changes_afterwards_are_looked_at_again() -> None:
    checks, outputs = Checks(SIGNATURE, image=False), ["y"]
    checks.passed([floats(1, 2)], outputs)
    outputs[0] = "z"
    with pytest.raises(BadInput, match="'z' does not exist"):
        checks.passed([floats(1, 2)], outputs)


def test_an_encoded_picture_is_one_example() -> None:
    picture = Tensor("image", "BYTES", (1,), b"\x01\x00\x00\x00x")
    assert Checks(PICTURES, image=True).passed([picture], ["labels"]) == 1


def fresh(tensors: list[Tensor], outputs: list[str] | None) -> int:
    check(SIGNATURE, tensors, outputs, image=False)
    return rows(SIGNATURE, tensors)


def seen(look: Callable[[], int]) -> int | str:
    """The examples, or why there is none."""
    try:
        return look()
    except BadInput as error:
        return str(error)
