"""From an fp32 graph to an int8 one that passed the gate, or a refusal with both numbers.

fp32 is heard first; then each way of quantising is tried until one passes. Nothing is written but the graph at
`target`, and that only when it passed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane.quantizing.domain import ATTEMPTS, Attempt, Cost, Measure, check_counts, refusal
from controlplane.quantizing.frames import Frame
from controlplane.quantizing.judges import Answers, Judge
from controlplane.quantizing.runtime_ort import Graph, Quantizer, seconds

Progress = Callable[[str, float], None]  # what is done, share of it


@dataclass(frozen=True)
class Job:
    """`judged` gives the frames to judge by anew at each call: they may not fit into memory together."""

    model: Path
    calibration: Sequence[Frame]
    judged: Callable[[], Iterable[Frame]]
    judge: Judge
    exclude: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ATTEMPTS


@dataclass(frozen=True)
class Int8:
    """A variant that passed."""

    attempt: Attempt
    measure: Measure
    calibration: int  # pictures
    fp32_cost: Cost
    int8_cost: Cost


def quantize(job: Job, target: Path, progress: Progress) -> Int8:
    """Write the int8 graph to `target`.

    Raises:
        Rejected: no way passes the gate, too little to calibrate on or to judge by, or the graph can't be quantised.
    """
    fp32 = Graph(job.model)
    answers = _answers(fp32, job, "fp32 on the pictures to judge by", progress)
    check_counts(len(job.calibration), len(answers))
    before = job.judge.hear(answers)
    tried: list[Measure] = []
    with tempfile.TemporaryDirectory(prefix="longshore-int8-") as place:
        quantizer = Quantizer(job.model, Path(place), job.exclude)
        for attempt in job.attempts:
            made = Path(place) / "int8.onnx"
            _make(quantizer, attempt, job, made, progress)
            after = job.judge.value(_answers(Graph(made), job, f"int8, {attempt.name}", progress))
            tried.append(Measure(job.judge.name, before, after, len(answers)))
            if tried[-1].passes:
                costs = _costs(job, made)
                target.write_bytes(made.read_bytes())
                return Int8(attempt, tried[-1], len(job.calibration), *costs)
    raise refusal(tried, len(job.calibration))


def _make(quantizer: Quantizer, attempt: Attempt, job: Job, made: Path, progress: Progress) -> None:
    count = 0

    def another() -> None:
        nonlocal count
        count += 1
        progress(f"calibrating, {attempt.name}", count / len(job.calibration))

    quantizer.make(attempt, [frame.pixels for frame in job.calibration], made, another)


def _answers(graph: Graph, job: Job, doing: str, progress: Progress) -> Answers:
    answers = []
    for frame in job.judged():
        answers.append((frame.name, job.judge.read(graph.run(frame.pixels), frame)))
        progress(doing, frame.share)
    return answers


def _costs(job: Job, made: Path) -> tuple[Cost, Cost]:
    fp32, int8 = seconds([Graph(job.model), Graph(made)], job.calibration[0].pixels)
    return Cost(fp32, job.model.stat().st_size), Cost(int8, made.stat().st_size)
