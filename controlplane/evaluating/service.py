"""From variants and labelled pictures to what a release is worth.

Every variant sees each picture once; then the most right of them, which is what a cloud node would be asked for, sees
some as JPEGs. Costs are measured last, of all variants by turns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from controlplane.evaluating import isotonic, profile
from controlplane.evaluating.measures import Measure, measure
from controlplane.evaluating.profile import Sending, Sent
from controlplane.quantizing import judges
from controlplane.quantizing.datasets import Dataset
from controlplane.quantizing.domain import check_counts, check_fp32, spread
from controlplane.quantizing.frames import Frame
from controlplane.quantizing.judges import Answers, Judge
from controlplane.quantizing.runtime_ort import Graph, cost_lines
from protos.errors import Rejected
from protos.judged import Judged, JudgedVariant, rounded

Progress = Callable[[str, float], None]  # what is done, share of it
Pictures = Callable[[Sequence[Path], Sequence[Sent]], Iterable[Frame]]  # fitted; each once for each way it is sent


@dataclass(frozen=True)
class Job:
    """`graphs` by variant. `first`: the one that must show that labels and pictures belong to this model."""

    task: str
    dataset: Dataset
    graphs: Mapping[str, Path]
    first: str
    pictures: Pictures
    ways: Sequence[Sent]


def evaluate(job: Job, progress: Progress) -> Judged:
    """What the release is worth.

    Raises:
        Rejected: too few pictures or objects, the release finds next to nothing there, or a graph fails on a picture.
    """
    graphs = {name: Graph(path) for name, path in job.graphs.items()}
    judge, measured = judges.judge(job.task, job.dataset), measure(job.task, job.dataset)
    answers, first = _answers(job, graphs, judge, progress)
    seen = answers[job.first]
    check_counts(job.first, 0, len(seen))
    check_fp32(judge.name, measured.metric(seen), measured.objects(seen))
    variants = {name: _variant(name, each, measured) for name, each in answers.items()}
    best = max(variants.values(), key=lambda variant: variant.right)
    sendings = _sendings(job, graphs[best.name], judge, [Path(name) for name, _ in seen], progress)
    jpeg = profile.points(sendings, best, answers[best.name], measured)
    progress(f"measuring what a frame costs with {', '.join(variants)}", 0.0)
    costs = cost_lines([graphs[name] for name in variants], first.pixels)
    told = tuple(replace(each, cost=cost) for each, cost in zip(variants.values(), costs, strict=True))
    return Judged(judge.name, len(seen), measured.objects(seen), told, jpeg)


def _answers(
    job: Job, graphs: Mapping[str, Graph], judge: Judge, progress: Progress
) -> tuple[dict[str, list[tuple[str, Any]]], Frame]:
    """Of every variant to every picture that can be read, and one of these."""
    answers: dict[str, list[tuple[str, Any]]] = {name: [] for name in graphs}
    doing = f"looking at {len(job.dataset.pictures)} labelled pictures with {', '.join(graphs)}"
    last: Frame | None = None
    for last in job.pictures(job.dataset.pictures, ()):
        for name, graph in graphs.items():
            answers[name].append((last.name, judge.read(graph.run(last.pixels), last)))
        progress(doing, last.share)
    if last is None:
        raise Rejected("none of the labelled pictures can be read; give JPEG or PNG files")
    return answers, last


def _sendings(
    job: Job, graph: Graph, judge: Judge, pictures: Sequence[Path], progress: Progress
) -> dict[Sent, Sending]:
    answers: defaultdict[Sent, list[tuple[str, Any]]] = defaultdict(list)
    sizes: defaultdict[Sent, list[int]] = defaultdict(list)
    for frame in job.pictures(spread(pictures, profile.PICTURES), job.ways):
        way = (frame.quality, frame.max_side)
        answers[way].append((frame.name, judge.read(graph.run(frame.pixels), frame)))
        sizes[way].append(frame.bytes)
        progress("looking at them as JPEGs", frame.share)
    return {way: Sending(answers[way], sizes[way]) for way in job.ways}


def _variant(name: str, answers: Answers, measured: Measure) -> JudgedVariant:
    trials = measured.trials(answers)
    return JudgedVariant(
        name,
        rounded(measured.metric(answers)),
        rounded(measured.right(answers)),
        isotonic.knots(trials.scores, trials.hits),
    )
