"""What models did for callers since they were loaded, as the protocol's statistics extension counts; pure.

`success` and `fail` are whole requests as callers had them, `queue` to `compute_output` what of the successful ones an
engine spent where. `compute_input` includes decoding a picture. Frames of cameras are in none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.ports import Tally


@dataclass(frozen=True)
class Duration:
    count: int
    ns: int


@dataclass(frozen=True)
class InferStatistics:
    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration = Duration(0, 0)  # nothing is cached here
    cache_miss: Duration = Duration(0, 0)


@dataclass(frozen=True)
class ModelStatistics:
    """`last_inference`: milliseconds since 1970; `execution_count`: runs of the graph for requests."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferStatistics
    batch_stats: tuple[()] = ()


def of(name: str, version: str, tally: Tally, unix: Callable[[float], float]) -> ModelStatistics:
    """`unix`: monotonic seconds as seconds since 1970."""
    return ModelStatistics(
        name,
        version,
        last_inference=int(unix(tally.last) * 1000) if tally.last is not None else 0,
        inference_count=tally.rows,
        execution_count=tally.runs,
        inference_stats=InferStatistics(
            success=_duration(tally.answered, tally.answered_seconds),
            fail=_duration(tally.failed, tally.failed_seconds),
            queue=_duration(tally.runs, tally.waited),
            compute_input=_duration(tally.runs, tally.input),
            compute_infer=_duration(tally.runs, tally.infer),
            compute_output=_duration(tally.runs, tally.output),
        ),
    )


def _duration(count: int, seconds: float) -> Duration:
    return Duration(count, round(seconds * 1e9))
