"""A user's own data through the real recipes: they learn, their graphs give what torch gives, the agent takes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from models.harbour.evaluate import agent_predictor
from models.network.graph import Title, classifier_graph, detector_graph, to_bytes
from models.network.plan import TOP, classifier, detector
from models.release import sha256
from protos.manifest import parse
from tests.unit.models import drawn_sets
from tests.unit.models.test_harbour_recipe import session_of
from tests.unit.models.training_environment import torch_run

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]

TOLERANCE = 1e-3
SIZE = 96
TITLE = Title("own", "1.0.0")
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures, weights, and what torch made of them."""
    folder = tmp_path_factory.mktemp("answers")
    squares = [drawn_sets.picture(seed, (SIZE, SIZE))[0] for seed in range(4)]
    np.save(folder / "images.npy", np.stack([*squares, np.full((SIZE, SIZE, 3), 114, np.uint8)]))
    torch_run(HERE / "torch_answers.py", folder)
    return folder


def test_the_detectors_graph_gives_the_boxes_of_torch(answered: Path, tmp_path: Path) -> None:
    graph = detector_graph(detector(3), load_file(answered / "detector.safetensors"), SIZE, TITLE)
    (tmp_path / "model.onnx").write_bytes(to_bytes(graph))
    wanted = np.load(answered / "answers.npz")
    boxes, scores, classes = answers(tmp_path / "model.onnx", answered, ["boxes", "scores", "classes"])
    assert np.abs(scores - wanted["scores"]).max() <= TOLERANCE
    assert wanted["scores"].max() > 0.2
    # Neighbours in rank may change places where their scores are the same to six digits.
    clear = np.abs(np.diff(wanted["scores"], axis=1, prepend=2.0, append=-1.0)) > 1e-5
    clear = clear[:, :-1] & clear[:, 1:]
    assert clear.sum() > TOP
    assert np.array_equal(classes[clear], wanted["classes"][clear])
    assert np.abs(boxes - wanted["boxes"])[clear].max() <= TOLERANCE


def test_the_classifiers_graph_gives_the_scores_of_torch(answered: Path, tmp_path: Path) -> None:
    graph = classifier_graph(classifier(), load_file(answered / "classifier.safetensors"), SIZE, TITLE)
    (tmp_path / "model.onnx").write_bytes(to_bytes(graph))
    (scores,) = answers(tmp_path / "model.onnx", answered, ["scores"])
    assert np.abs(scores - np.load(answered / "answers.npz")["verdict"]).max() <= TOLERANCE
    assert scores.sum(axis=1) == pytest.approx(np.ones(len(scores)), abs=1e-5)


def answers(model: Path, folder: Path, names: list[str]) -> list[Any]:
    found: list[Any] = session_of(model).run(names, {"image": np.load(folder / "images.npy")})
    return found


def test_a_detector_learns_a_coco_folder_and_the_agent_finds_its_things(tmp_path: Path) -> None:
    drawn_sets.coco(tmp_path / "set", 90)
    release = learned(tmp_path, "detector", "size=96", "batch=12", "epochs=22", "peak_rate=0.006", "val=0.45")
    manifest = parse((release / "manifest.json").read_bytes())
    assert (manifest.name, manifest.version, manifest.labels) == ("detector", "1.0.0", drawn_sets.LABELS)
    assert newest_metric(tmp_path, "mAP50") >= 0.6
    told = manifest.judged
    assert told is not None
    assert told.variants[0].metric == pytest.approx(newest_metric(tmp_path, "mAP50"), abs=0.02), "by the agent, as here"
    assert told.variants[0].confidence[-1][1] > told.variants[0].confidence[0][1]
    assert {point.max_side for point in told.jpeg} == {96, 72, 48}
    assert f"By `longshore package --evaluate` on {told.pictures} pictures" in (release / "card.md").read_text()
    weights = (tmp_path / "run" / "work" / "weights.safetensors").read_bytes()
    assert f"sha256 `{sha256(weights)}`" in (release / "card.md").read_text()
    found = agent_predictor()(release, tmp_path / "set" / "images")
    right = sum(finds(record, drawn_sets.picture(number)[1]) for number, record in enumerate(found, 1))
    assert right >= 0.7 * len(found)


def finds(record: dict[str, Any], objects: drawn_sets.Objects) -> bool:
    """Whether the best detections are the things that were drawn, within four pixels."""
    best = zip(record["boxes"][: len(objects)], record["classes"][: len(objects)], strict=True)
    boxes = {
        (label, *(round(side * edge) for side, edge in zip(box, (120, 90, 120, 90), strict=True)))
        for box, label in best
    }
    return all(
        any(one[0] == label and np.abs(np.subtract(one[1:], corners)).max() <= 4 for one in boxes)
        for *corners, label in objects
    )


def test_a_classifier_learns_class_folders(tmp_path: Path) -> None:
    drawn_sets.class_folders(tmp_path / "set", 56)
    release = learned(tmp_path, "classifier", "size=64", "batch=16", "epochs=20", "val=0.45")
    manifest = parse((release / "manifest.json").read_bytes())
    assert (manifest.task, manifest.labels) == ("classification", ("blue", "red"))
    assert newest_metric(tmp_path, "top1") >= 0.9
    told = manifest.judged
    assert told is not None
    assert (told.metric, told.pictures, told.objects) == ("top-1 accuracy", 50, 50)
    assert told.variants[0].metric == pytest.approx(newest_metric(tmp_path, "top1"), abs=0.04), "two pictures of 50"
    assert len(told.jpeg) == 12
    assert "| **top-1** | **" in (release / "card.md").read_text()


def test_bad_annotations_are_told_before_training(tmp_path: Path) -> None:
    drawn_sets.yolo(tmp_path / "set", 3, 2)
    file = tmp_path / "set" / "labels" / "train" / "0002.txt"
    file.write_text("0 0.5 0.5 0.2 0.2\n5 0.5 0.5 0.2 0.2\n")
    said = torch_run("-m", "models.detector", "run", "--run", tmp_path, "--set", f"data={tmp_path / 'set'}", code=1)
    assert f"{file}:2: there is no class 5; data.yaml names 0 to 1" in said
    assert "--set bad=skip" in said
    assert "Traceback" not in said


def learned(folder: Path, recipe: str, *settings: str) -> Path:
    """The release of a Run of `recipe` over `folder/set`."""
    every = [f"data={folder / 'set'}", "threads=1", *settings]
    chosen = [part for setting in every for part in ("--set", setting)]
    torch_run("-m", f"models.{recipe}", "run", "--run", folder / "run", *chosen, timeout=250)
    return folder / "run" / "release"


def newest_metric(folder: Path, name: str) -> float:
    lines = [json.loads(line) for line in (folder / "run" / "progress.jsonl").read_text().splitlines()]
    return float([line["metrics"][name] for line in lines if "metrics" in line][-1])
