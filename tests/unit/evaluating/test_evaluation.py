"""Labelled pictures and graphs → what a release is worth; pictures come from memory, graphs run in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from controlplane.evaluating import measures, profile, service
from controlplane.evaluating.profile import Sending, Sent
from controlplane.quantizing.datasets import Dataset
from controlplane.quantizing.frames import Frame
from controlplane.quantizing.metrics import Found, truth
from protos import judged
from protos.errors import Rejected
from protos.judged import JudgedVariant
from protos.manifest import ImageInput
from tests.sim.models import BOXES, classifier, detector, layered

SIDE = 32
BOTH = [[float(side) for side in box] for box in BOXES[:2]]
WHOLE = (0.0, 0.0, 1.0, 1.0)


@dataclass
class Seen:
    """Grey pictures by name; JPEG leaves `kept` of the brightness of one of a low quality."""

    greys: dict[str, int]
    shape: tuple[int, int, int]
    kept: float = 1.0
    asked: list[tuple[int, tuple[Sent, ...]]] = field(default_factory=list)

    def __call__(self, paths: Sequence[Path], ways: Sequence[Sent]) -> Iterable[Frame]:
        self.asked.append((len(paths), tuple(ways)))
        for number, path in enumerate(paths, 1):
            for quality, side in ways or [(0, 0)]:
                grey = self.greys[str(path)] * (self.kept if 0 < quality < 50 else 1.0)
                pixels = np.full(self.shape, round(grey), np.uint8)
                yield Frame(str(path), pixels, WHOLE, number / len(paths), quality, side, 10 * quality + side)


def labelled(count: int = 40) -> tuple[Dataset, Seen]:
    """Every picture shows both boxes of the model, which gives them a score of 0.9 and 0.6 times its brightness."""
    names = [f"{number}.png" for number in range(count)]
    boxes = truth(BOTH, [0, 1])
    return Dataset({Path(name): boxes for name in names}), Seen(dict.fromkeys(names, 250), (SIDE, SIDE, 3))


def job(dataset: Dataset, seen: Seen, graphs: dict[str, Path], task: str = "detection") -> service.Job:
    return service.Job(task, dataset, graphs, next(iter(graphs)), seen, profile.grid(ImageInput("image", SIDE, SIDE)))


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(layered().spec.model)
    return path


def evaluated(dataset: Dataset, seen: Seen, **graphs: Path) -> judged.Judged:
    return service.evaluate(job(dataset, seen, graphs), lambda *_: None)


def test_a_release_is_told_by_metric_right_answers_calibration_cost_and_jpegs(graph: Path) -> None:
    dataset, seen = labelled()
    found = evaluated(dataset, seen, fp32=graph)
    assert (found.metric, found.pictures, found.objects) == ("mAP50", 40, 80)
    (variant,) = found.variants
    assert (variant.name, variant.metric, variant.right) == ("fp32", 1.0, 1.0)
    assert variant.cost is not None
    assert variant.cost.frame + variant.cost.call > 0
    assert [(point.quality, point.max_side) for point in found.jpeg] == [
        (quality, side) for side in (32, 24, 16) for quality in profile.QUALITIES
    ]
    assert found.jpeg[0].bytes == 10 * 30 + 32
    assert judged.parse(judged.to_document(found)) == found


def test_progress_names_how_many_pictures_there_are_and_who_looks_at_them(graph: Path) -> None:
    dataset, seen = labelled()
    told: list[str] = []
    service.evaluate(job(dataset, seen, {"fp32": graph, "small": graph}), lambda doing, _: told.append(doing))
    assert told[0] == "looking at 40 labelled pictures with fp32, small"
    assert told[-1] == "measuring what a frame costs with fp32, small"


def test_a_jpeg_that_hides_an_object_is_worth_less_in_either_figure(graph: Path) -> None:
    dataset, seen = labelled()
    seen.kept = 0.4  # the second box's score falls to 0.24: it is still found, and too unsure to be told
    points = {point.quality: point for point in evaluated(dataset, seen, fp32=graph).jpeg if point.max_side == SIDE}
    assert (points[85].right, points[70].right, points[50].right) == (1.0, 1.0, 1.0)
    assert points[30].right == 0.0
    assert points[30].metric == 1.0


def test_every_variant_is_told_and_the_most_right_one_sees_the_jpegs(graph: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(detector(SIDE, SIDE).spec.model)
    dataset, seen = labelled()
    found = evaluated(dataset, seen, small=other, fp32=graph)
    worth = {variant.name: variant.right for variant in found.variants}
    assert worth == {"small": 1.0, "fp32": 1.0}
    assert seen.asked == [(40, ()), (40, tuple((point.quality, point.max_side) for point in found.jpeg))]


def test_a_calibration_tells_scores_of_false_boxes_apart(graph: Path) -> None:
    names = [f"{number}.png" for number in range(60)]
    one_of_two = truth(BOTH[:1], [0])
    seen = Seen({name: 150 + number for number, name in enumerate(names)}, (SIDE, SIDE, 3))
    found = evaluated(Dataset({Path(name): one_of_two for name in names}), seen, fp32=graph)
    curve = found.variants[0].confidence
    assert curve[0][1] < 0.2
    assert curve[-1][1] > 0.9
    assert found.variants[0].right == 0.0


def test_a_classifier_is_told_by_its_first_class(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(classifier(SIDE, SIDE).spec.model)
    names = [f"{number}.png" for number in range(60)]
    dataset = Dataset(classes={Path(name): number % 2 for number, name in enumerate(names)})
    seen = Seen(dict.fromkeys(names, 200), (SIDE, SIDE, 3))
    found = service.evaluate(job(dataset, seen, {"fp32": path}, "classification"), lambda *_: None)
    assert (found.metric, found.objects, found.variants[0].right) == ("top-1 accuracy", 60, 0.5)


@pytest.mark.parametrize(
    ("count", "boxes", "said"),
    [
        (31, BOTH, "31 pictures to judge by are too few"),
        (32, BOTH[:1], "32 objects to judge by are too few"),
        (60, [[0.0, 0.0, 0.1, 0.1]], "so nothing can be told"),
    ],
)
def test_too_little_to_judge_by_is_refused(graph: Path, count: int, boxes: list[list[float]], said: str) -> None:
    dataset, seen = labelled(count)
    dataset = replace(dataset, boxes=dict.fromkeys(dataset.boxes, truth(boxes, [0, 1][: len(boxes)])))
    with pytest.raises(Rejected, match=said):
        evaluated(dataset, seen, fp32=graph)


def test_no_picture_that_can_be_read_is_refused(graph: Path) -> None:
    dataset, _ = labelled()
    nothing = service.Job("detection", dataset, {"fp32": graph}, "fp32", lambda *_: [], [(70, 32)])
    with pytest.raises(Rejected, match="none of the labelled pictures can be read"):
        service.evaluate(nothing, lambda *_: None)


# ---- a profile of few pictures beside figures of all ----


def answered(hits: dict[str, bool]) -> list[tuple[str, Found]]:
    right, wrong = truth(BOTH, [0, 1]), truth([], [])
    return [(name, right if hit else wrong) for name, hit in hits.items()]


def test_which_pictures_were_sent_does_not_show() -> None:
    """Half of all are answered right. Sent were four hard ones, of which one is, and which JPEG changes nothing in."""
    everything = {f"{number}.png": number % 2 == 0 for number in range(40)}
    hard = {"1.png": False, "3.png": False, "5.png": False, "2.png": True}
    measured = measures.measure("detection", Dataset({Path(name): truth(BOTH, [0, 1]) for name in everything}))
    all_of_it = JudgedVariant("fp32", 0.5, 0.5)
    (point,) = profile.points(
        {(70, 320): Sending(answered(hard), [9000, 9001, 9000, 9001])}, all_of_it, answered(everything), measured
    )
    assert (point.metric, point.right, point.bytes) == (0.5, 0.5, 9000)


def test_a_share_stays_one_whatever_few_pictures_say() -> None:
    everything = {f"{number}.png": number > 0 for number in range(40)}
    measured = measures.measure("detection", Dataset({Path(name): truth(BOTH, [0, 1]) for name in everything}))
    for hit, worth in ((True, 1.0), (False, 0.975)):
        sending = Sending(answered({"0.png": hit}), [100])
        (point,) = profile.points(
            {(70, 320): sending}, JudgedVariant("fp32", 0.975, 0.975), answered(everything), measured
        )
        assert point.right == worth


def test_a_side_is_never_larger_than_what_the_model_looks_at_nor_told_twice() -> None:
    assert {side for _, side in profile.grid(ImageInput("image", 480, 640))} == {640, 480, 320}
    tiny = profile.grid(ImageInput("image", 16, 16))
    assert tiny == [(quality, 16) for quality in profile.QUALITIES]
