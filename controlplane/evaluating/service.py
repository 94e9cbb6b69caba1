"""From variants and labelled pictures to what a release is worth.

Every variant sees each picture once; then the most right of them, which is what a cloud node would be asked for, sees
some as JPEGs. Costs are measured last, of all variants by turns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
from protos.judged import Judged, JudgedJpeg, JudgedVariant, rounded

Progress = Callable[[str, float], None]  # what is done, share of it
Pictures = Callable[[Sequence[Path], Sequence[Sent]], Iterable[Frame]]  # fitted; each once for each way it is sent


@dataclass(frozen=True)
class Job:
    """`graphs` by variant. `fp32`: the variant that must show that labels and pictures belong to this model."""

    task: str
    dataset: Dataset
    graphs: Mapping[str, Path]
    fp32: str
    pictures: Pictures
    ways: Sequence[Sent]


def evaluate(job: Job, progress: Progress) -> Judged:
    """What the release is worth.

    Raises:
        Rejected: too few pictures or objects, fp32 finds next to nothing there, or a graph fails on a picture.
    """
    graphs = {name: Graph(path) for name, path in job.graphs.items()}
    judge, measured = judges.judge(job.task, job.dataset), measure(job.task, job.dataset)
    answers, first = _answers(job, graphs, judge, progress)
    fp32 = answers[job.fp32]
    check_counts("fp32", 0, len(fp32))
    check_fp32(judge.name, measured.metric(fp32), measured.objects(fp32))
    variants = {name: _variant(name, each, measured) for name, each in answers.items()}
    best = max(variants.values(), key=lambda variant: variant.right)
    sendings = _sendings(job, graphs[best.name], judge, [Path(name) for name, _ in fp32], progress)
    jpeg = profile.points(sendings, best, answers[best.name], measured)
    costs = cost_lines([graphs[name] for name in variants], first.pixels)
    told = tuple(_with_cost(each, cost) for each, cost in zip(variants.values(), costs, strict=True))
    return Judged(judge.name, len(fp32), measured.objects(fp32), told, jpeg)
