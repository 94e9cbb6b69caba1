"""Who judges a variant: by labels where there are some, else by fp32's own answers on the same pictures.

A judge reads what a graph gives for a frame, hears fp32 first, and then puts a number to anybody's answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from controlplane.quantizing import metrics
from controlplane.quantizing.datasets import Dataset
from controlplane.quantizing.domain import check_fp32
from controlplane.quantizing.frames import Frame, on_picture
from controlplane.quantizing.metrics import Floats, Found

Answers = Sequence[tuple[str, Any]]  # frame's name, what `read` made of it; of all frames, always in one order


class Judge(Protocol):
    name: str  # of the metric

    def read(self, given: dict[str, Any], frame: Frame) -> Any: ...

    def hear(self, fp32: Answers) -> float:
        """fp32's metric. Raises Rejected where it shows that nothing can be told."""
        ...

    def value(self, answers: Answers) -> float: ...


def judge(task: str, dataset: Dataset | None) -> Judge:
    if task == "classification":
        return Classes(dataset)
    return Boxes(dataset)


class Boxes:
    """Detection."""

    def __init__(self, dataset: Dataset | None) -> None:
        self._dataset = dataset
        self._truths: list[Found] = []
        self.name = "mAP50" if dataset else "agreement with fp32's own detections"

    def read(self, given: dict[str, Any], frame: Frame) -> Found:
        boxes, scores = given["boxes"].astype(np.float64), given["scores"].astype(np.float64)
        return on_picture(boxes, scores, given["classes"].astype(np.int64), frame)

    def hear(self, fp32: Answers) -> float:
        if self._dataset:
            self._truths = [self._dataset.boxes[Path(name)] for name, _ in fp32]
        else:
            self._truths = metrics.sure([found for _, found in fp32])
        value = self.value(fp32)
        check_fp32(self.name, value, sum(len(each.boxes) for each in self._truths))
        return value

    def value(self, answers: Answers) -> float:
        found = [each for _, each in answers]
        return metrics.map50(found, self._truths) if self._dataset else metrics.agreement(found, self._truths)


class Classes:
    """Classification."""

    def __init__(self, dataset: Dataset | None) -> None:
        self._dataset = dataset
        self._truths: list[int] = []
        self.name = "top-1 accuracy" if dataset else "agreement with fp32's own best class"

    def read(self, given: dict[str, Any], frame: Frame) -> Floats:  # noqa: ARG002 - as the protocol has it
        scores: Floats = given["scores"].astype(np.float64)
        return scores

    def hear(self, fp32: Answers) -> float:
        if self._dataset:
            self._truths = [self._dataset.classes[Path(name)] for name, _ in fp32]
        else:
            self._truths = [metrics.best(scores) for _, scores in fp32]
        value = self.value(fp32)
        check_fp32(self.name, value, len(self._truths))
        return value

    def value(self, answers: Answers) -> float:
        return metrics.top1([scores for _, scores in answers], self._truths)
