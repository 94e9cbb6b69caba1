"""From an fp32 graph to one of another precision that passed the gate, or a refusal with both numbers.

fp32 is heard first; then each way of making it is tried until one passes. Nothing is written but the graph at `target`,
and that only when it passed. Costs are of all variants that the release then has, measured in turns.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane.quantizing.domain import INT8, Attempt, Cost, Measure, attempts, check_counts, refusal
from controlplane.quantizing.frames import Frame
from controlplane.quantizing.judges import Answers, Judge
from controlplane.quantizing.runtime_ort import Graph, Prepared, halved, quantized, seconds

Progress = Callable[[str, float], None]  # what is done, share of it


@dataclass(frozen=True)
class Job:
    """`judged` gives the frames to judge by anew at each call: they may not fit into memory together.

    `beside`: the other variants that the release has, measured with it. `calibration` is empty where nothing is
    calibrated.
    """

    precision: str
    model: Path
    calibration: Sequence[Frame]
    judged: Callable[[], Iterable[Frame]]
    judge: Judge
    exclude: tuple[str, ...] = ()
    beside: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Passed:
    """A variant that passed. `beside_costs` are of the job's `beside`, in its order."""

    precision: str
    attempt: Attempt
    measure: Measure
    calibration: int  # pictures
    fp32_cost: Cost
    cost: Cost
    beside_costs: tuple[Cost, ...] = ()


def make(job: Job, target: Path, progress: Progress) -> Passed:
    """Write the variant's graph to `target`.

    Raises:
        Rejected: no way passes the gate, too little to calibrate on or to judge by, or the graph can't be converted.
    """
    answers = _answers(Graph(job.model), job, "fp32 on the pictures to judge by", progress)
    check_counts(job.precision, len(job.calibration), len(answers))
    before = job.judge.hear(answers)
    tried: list[Measure] = []
    with tempfile.TemporaryDirectory(prefix="longshore-variant-") as place:
        prepared = Prepared(job.model, Path(place), job.exclude)
        for attempt in attempts(job.precision):
            made = Path(place) / "made.onnx"
            judged = _convert(prepared, attempt, job, made, progress)
            after = job.judge.value(_answers(Graph(judged), job, f"{job.precision}, {attempt.name}", progress))
            tried.append(Measure(job.judge.name, before, after, len(answers)))
            if tried[-1].passes:
                fp32, cost, *beside = _costs(job, made, next(iter(job.judged())))
                target.write_bytes(made.read_bytes())
                return Passed(job.precision, attempt, tried[-1], len(job.calibration), fp32, cost, tuple(beside))
    raise refusal(job.precision, tried, len(job.calibration))


def _convert(prepared: Prepared, attempt: Attempt, job: Job, made: Path, progress: Progress) -> Path:
    """The graph to judge by, which for fp16 is another."""
    if job.precision != INT8:
        rehearsal = made.with_name("rehearsal.onnx")
        progress(f"halving, {attempt.name}", 0.0)
        halved(prepared, attempt, made, rehearsal)
        return rehearsal
    count = 0

    def another() -> None:
        nonlocal count
        count += 1
        progress(f"calibrating, {attempt.name}", count / len(job.calibration))

    quantized(prepared, attempt, [frame.pixels for frame in job.calibration], made, another)
    return made


def _answers(graph: Graph, job: Job, doing: str, progress: Progress) -> Answers:
    answers = []
    for frame in job.judged():
        answers.append((frame.name, job.judge.read(graph.run(frame.pixels), frame)))
        progress(doing, frame.share)
    return answers


def _costs(job: Job, made: Path, frame: Frame) -> list[Cost]:
    """Of fp32, of what was made, and of what is beside them."""
    paths = [job.model, made, *job.beside]
    taken = seconds([Graph(path) for path in paths], frame.pixels)
    return [Cost(each, path.stat().st_size) for each, path in zip(taken, paths, strict=True)]
