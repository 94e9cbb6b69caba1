"""Decisions about variants: what is tried, what passes, what a person is told. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from protos.errors import Rejected

T = TypeVar("T")
INT8, FP16 = "int8", "fp16"
GATE = 0.99  # of fp32's metric
CALIBRATION = 128  # pictures; more hardly moves the ranges
LEAST_CALIBRATION = 32
LEAST_EVALUATION = 32
LEAST_OBJECTS = 50  # fewer, and one object more or less decides
LEAST_METRIC = 0.1  # of fp32: below it, labels and classes do not belong together
HELD_OUT = 3  # every how many-th part of unlabelled pictures is kept for the judgement


@dataclass(frozen=True)
class Attempt:
    """One way. `first`, `last`: these layers stay in fp32. `averaged`: ranges that single pictures cannot stretch."""

    name: str
    first: bool = False
    last: bool = False
    averaged: bool = False


ATTEMPTS = (
    Attempt("all layers"),
    Attempt("last layers in fp32", last=True),
    Attempt("first and last layers in fp32", first=True, last=True),
    Attempt("first and last layers in fp32, averaged ranges", first=True, last=True, averaged=True),
)


def attempts(precision: str) -> tuple[Attempt, ...]:
    """What is tried for it, in order. Halving takes no ranges."""
    return tuple(attempt for attempt in ATTEMPTS if precision == INT8 or not attempt.averaged)


@dataclass(frozen=True)
class Measure:
    """A metric by its name, and its value for fp32 and for the variant."""

    name: str
    fp32: float
    variant: float
    pictures: int

    @property
    def share(self) -> float:
        return self.variant / self.fp32 if self.fp32 > 0 else 0.0

    @property
    def passes(self) -> bool:
        return self.share >= GATE


@dataclass(frozen=True)
class Cost:
    """Median seconds of one picture on one thread, and bytes."""

    seconds: float
    size: int


def speed_sentence(fp32: Cost, variant: Cost) -> str:
    """How many times as fast, or that it is not."""
    ratio = fp32.seconds / variant.seconds
    if ratio >= 1.0:
        return f"{ratio:.2f} times as fast"
    return f"slower here, {ratio:.2f} times as fast: boxes with such a processor will run fp32"


def refusal(precision: str, tried: Sequence[Measure], calibration: int) -> Rejected:
    """Both numbers of the best of what was tried, and what else to try."""
    best = max(tried, key=lambda measure: measure.variant)
    how = f"the best of {len(tried)} ways, on {best.pictures} pictures"
    other = "leave layers in fp32 with --exclude, or stay with fp32"
    if precision == INT8:
        how += f", calibrated on {calibration}"
        other = "try more or other calibration pictures, leave layers in fp32 with --exclude, or take --fp16"
    return Rejected(
        f"{precision} refused: {best.name} {best.variant:.4f} against {best.fp32:.4f} of fp32 is {best.share:.1%}, and"
        f" {GATE:.0%} is wanted ({how}); {other}"
    )


def held_out(items: Sequence[T], *, film: bool) -> tuple[list[T], list[T]]:
    """For calibration, and for the judgement. Of a film the end is held out, for neighbours look alike."""
    if film:
        cut = len(items) - len(items) // HELD_OUT
        return list(items[:cut]), list(items[cut:])
    kept = [item for index, item in enumerate(items) if index % HELD_OUT != HELD_OUT - 1]
    return kept, list(items[HELD_OUT - 1 :: HELD_OUT])


def check_counts(precision: str, calibration: int, evaluation: int) -> None:
    """Raises Rejected where there are too few to tell anything."""
    if precision == INT8 and calibration < LEAST_CALIBRATION:
        raise Rejected(f"{calibration} pictures to calibrate on are too few; give at least {LEAST_CALIBRATION}")
    if evaluation < LEAST_EVALUATION:
        raise Rejected(f"{evaluation} pictures to judge by are too few; give at least {LEAST_EVALUATION}")


def check_fp32(name: str, value: float, objects: int) -> None:
    """Raises Rejected where fp32 itself shows that nothing can be told."""
    if objects < LEAST_OBJECTS:
        raise Rejected(f"{objects} objects to judge by are too few; give pictures with at least {LEAST_OBJECTS}")
    if value < LEAST_METRIC:
        raise Rejected(
            f"fp32 itself reaches a {name} of {value:.3f} there, so nothing can be told; do classes and pictures belong"
            " to this model?"
        )


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly, in order."""
    if len(items) <= most:
        return list(items)
    return [items[index * len(items) // most] for index in range(most)]
