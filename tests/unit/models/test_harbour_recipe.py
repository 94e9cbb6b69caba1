"""The sample model's recipe: its scenes, its metric, its export and the numbers it claims."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.cameras.harbour_scene import CLASSES
from controlplane.quantizing.datasets import opened
from models.harbour import export, scenes
from models.harbour.__main__ import main
from models.harbour.card import card
from models.harbour.evaluate import direct_predictor, evaluate
from models.harbour.plan import LABELS, PLAN, SIZE, TOP
from models.harbour.worth import draw
from models.metric import Found, average_precision, iou
from protos import judged
from protos.ids import digest_of
from protos.manifest import parse

HOME, RELEASE = export.HOME, export.RELEASE


def provenance() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((HOME / "provenance.json").read_text())
    return document


def found(boxes: list[list[float]], scores: list[float] | None = None) -> Found:
    return Found(np.array(boxes, np.float64).reshape(-1, 4), np.array(scores or [1.0] * len(boxes), np.float64))


# --- scenes


def test_training_and_held_out_seeds_are_fixed_and_disjoint() -> None:
    assert range(100_000, 101_800) == scenes.TRAINING_SEEDS
    assert range(900_000, 900_512) == scenes.HELD_OUT_SEEDS
    assert not set(scenes.TRAINING_SEEDS) & set(scenes.HELD_OUT_SEEDS)
    assert len(scenes.HELD_OUT_SEEDS) >= 500


def test_enough_objects_are_occluded_and_enough_are_small() -> None:
    metric = provenance()["metric"]
    assert metric["occluded"] >= 0.30
    assert metric["small"] >= 0.25
    truths = [truth for _, _, picture in scenes.held_out(80) for truth in picture]
    occluded = sum(truth.visible < scenes.OCCLUDED for truth in truths) / len(truths)
    small = sum(scenes.longer_side(truth) < scenes.SMALL for truth in truths) / len(truths)
    assert occluded == pytest.approx(metric["occluded"], abs=0.04)
    assert small == pytest.approx(metric["small"], abs=0.06)


def test_drawing_that_was_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[list[int]] = []

    def drawing(seeds: range) -> Iterator[tuple[Any, Any]]:
        begun.append(list(seeds))
        for seed in seeds:
            yield np.full((scenes.MOMENTS, 180, SIZE, 3), seed, np.uint8), np.full((scenes.MOMENTS, 64, 5), seed)

    def stop(done: int, of: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(scenes, "drawn_by_all_cores", drawing)
    with pytest.raises(KeyboardInterrupt):
        scenes.training_stills(tmp_path, range(10, 15), stop)
    stills = scenes.training_stills(tmp_path, range(10, 15))
    assert begun == [[10, 11, 12, 13, 14], [13, 14]]
    assert stills.images[:: scenes.MOMENTS, 0, 0, 0].tolist() == [10, 11, 12, 13, 14]
    scenes.training_stills(tmp_path, range(10, 16))
    assert begun[-1] == [10, 11, 12, 13, 14, 15]


def test_training_rows_are_truth_on_the_square() -> None:
    images, rows = scenes.draw_moments(scenes.TRAINING_SEEDS[0])
    assert images.shape == (scenes.MOMENTS, SIZE * 9 // 16, SIZE, 3)
    real = rows[rows[:, :, 4] >= 0]
    assert len(real) > 30
    assert real[:, 1].min() >= 7 / 32 - 1e-6
    assert real[:, 3].max() <= 25 / 32 + 1e-6


def test_the_letterbox_puts_the_picture_between_bars_of_114() -> None:
    square = scenes.letterbox(np.full((360, 640, 3), 7, np.uint8))
    assert square.shape == (SIZE, SIZE, 3)
    assert np.all(square[:70] == 114)
    assert np.all(square[70:250] == 7)
    assert np.all(square[250:] == 114)


def test_labels_are_the_classes_of_the_scene() -> None:
    assert LABELS == CLASSES


# --- metric


def test_iou_of_a_box_shifted_by_half_is_a_third() -> None:
    assert iou(np.array([[0, 0, 2, 1.0]]), np.array([[1, 0, 3, 1.0]]))[0, 0] == pytest.approx(1 / 3)


def test_finding_everything_and_nothing_else_is_average_precision_one() -> None:
    truth = [found([[0, 0, 1, 1], [2, 2, 3, 3]]), found([[5, 5, 6, 6]])]
    assert average_precision(truth, truth) == 1.0


def test_a_second_find_of_the_same_object_is_a_mistake() -> None:
    truth = [found([[0, 0, 1, 1], [2, 2, 3, 3]])]
    twice = [found([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3]], [0.9, 0.8, 0.7])]
    assert average_precision(twice, truth) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_a_missed_object_costs_its_share_of_recall() -> None:
    truth = [found([[0, 0, 1, 1], [2, 2, 3, 3]])]
    assert average_precision([found([[0, 0, 1, 1]], [0.9])], truth) == pytest.approx(0.5)


def test_a_box_that_overlaps_too_little_finds_nothing() -> None:
    assert average_precision([found([[0, 0, 1, 1]], [0.9])], [found([[0.5, 0.5, 1.5, 1.5]])]) == 0.0


# --- export


def test_export_gives_the_committed_release_byte_for_byte() -> None:
    files = export.release((HOME / "weights.safetensors").read_bytes(), provenance())
    assert set(files) == {file.name for file in RELEASE.iterdir()}
    for name, content in files.items():
        assert content == (RELEASE / name).read_bytes(), name


def test_the_onnx_file_is_at_most_a_megabyte() -> None:
    assert (RELEASE / "model.onnx").stat().st_size <= 1_000_000


def test_the_manifest_names_every_file_by_its_content() -> None:
    manifest = parse((RELEASE / "manifest.json").read_bytes())
    assert (manifest.name, manifest.version, manifest.task) == ("harbour", "1.1.0", "detection")
    assert manifest.labels == CLASSES
    for entry in manifest.files:
        assert digest_of((RELEASE / entry.path).read_bytes()) == entry.digest


def test_the_graph_takes_any_batch_and_answers_in_the_standard_form() -> None:
    session = session_of(RELEASE / "model.onnx")
    images = np.stack([scenes.letterbox(picture) for _, picture, _ in scenes.held_out(3)])
    boxes, scores, classes = session.run(["boxes", "scores", "classes"], {"image": images})
    assert (boxes.shape, scores.shape, classes.shape) == ((3, TOP, 4), (3, TOP), (3, TOP))
    assert (boxes.dtype, scores.dtype, classes.dtype) == (np.float32, np.float32, np.int64)
    assert np.all(np.diff(scores, axis=1) <= 0)
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert set(np.unique(classes)) <= set(range(len(LABELS)))
    alone = session.run(["scores"], {"image": images[1:2]})[0]
    assert np.allclose(alone[0], scores[1], atol=1e-5)


def test_an_empty_picture_holds_nothing() -> None:
    grey = np.full((1, SIZE, SIZE, 3), 114, np.uint8)
    scores = session_of(RELEASE / "model.onnx").run(["scores"], {"image": grey})[0]
    assert scores.max() < 0.3


def session_of(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


# --- what is claimed


def test_the_claimed_metric_is_high_enough_and_belongs_to_this_model() -> None:
    metric = provenance()["metric"]
    assert metric["scenes"] == len(scenes.HELD_OUT_SEEDS)
    assert metric["map50"] >= 0.85
    assert min(metric["ap50"].values()) >= 0.75
    assert metric["path"] == "agent"
    assert metric["onnx_sha256"] == export.sha256((RELEASE / "model.onnx").read_bytes())
    assert provenance()["weights_sha256"] == export.sha256((HOME / "weights.safetensors").read_bytes())


def test_training_took_no_more_than_ten_minutes_of_two_cores() -> None:
    """Ten minutes of two cores are twenty core minutes.

    Those are asserted: the wall clock, which is recorded beside them, counts a shared machine's other guests too.
    """
    assert provenance()["cpu_minutes"] <= 2 * 10
    assert set(provenance()["minutes"]) == {"draw", "fit"}


def test_the_manifest_tells_what_the_recipe_had_evaluated() -> None:
    """By the command that everybody has, which counts as the recipe does: both came to the same mAP50."""
    told, metric = parse((RELEASE / "manifest.json").read_bytes()).judged, provenance()["metric"]
    assert told is not None
    assert judged.to_document(told) == provenance()["judged"]
    assert (told.metric, told.pictures, told.objects) == ("mAP50", metric["scenes"], metric["objects"])
    (variant,) = told.variants
    assert variant.metric == pytest.approx(metric["map50"], abs=0.001)
    assert len(variant.confidence) >= 5
    assert len(told.jpeg) == 12
    assert min(point.bytes for point in told.jpeg) < 30_000


def test_more_bytes_are_worth_more_where_the_size_is_the_same() -> None:
    told = parse((RELEASE / "manifest.json").read_bytes()).judged
    assert told is not None
    for side in {point.max_side for point in told.jpeg}:
        points = sorted((point.bytes, point.metric) for point in told.jpeg if point.max_side == side)
        assert [metric for _, metric in points] == sorted(metric for _, metric in points), side


def test_a_recipe_without_a_judgement_makes_a_release_without_one() -> None:
    unjudged = {key: value for key, value in provenance().items() if key != "judged"}
    files = export.release((HOME / "weights.safetensors").read_bytes(), unjudged)
    assert parse(files["manifest.json"]).judged is None


def test_the_scenes_are_drawn_as_a_labelled_set(tmp_path: Path) -> None:
    draw(tmp_path / "drawn", 2)
    dataset = opened(tmp_path / "drawn", "detection", CLASSES)
    truths = [picture for _, _, picture in scenes.held_out(2)]
    assert [len(found.boxes) for found in dataset.boxes.values()] == [len(each) for each in truths]
    first = next(iter(dataset.boxes.values()))
    assert np.allclose(first.boxes, [truth.box for truth in truths[0]], atol=1e-5)


def test_the_card_says_what_the_provenance_says() -> None:
    text, metric = (RELEASE / "card.md").read_text(), provenance()["metric"]
    assert text == card(provenance())
    assert f"| **mAP50** | **{metric['map50']:.3f}** |" in text
    for label, value in metric["ap50"].items():
        assert f"| {label} | {value:.3f} |" in text


def test_a_card_without_a_measurement_says_so() -> None:
    unmeasured = {key: value for key, value in provenance().items() if key != "metric"}
    assert "Not measured yet" in card(unmeasured)


def test_sixty_held_out_scenes_confirm_the_claim() -> None:
    report = evaluate(RELEASE, direct_predictor, 60, "direct")
    assert report.map50 >= 0.8
    assert report.map50 == pytest.approx(provenance()["metric"]["map50"], abs=0.05)


def test_the_verbs_print_help_and_card_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card"]) == 0
    assert capsys.readouterr().out.startswith("# harbour 1.1.0")
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "retrain" in capsys.readouterr().out


def test_every_layer_reads_layers_before_it_and_channels_fit() -> None:
    width = {"image": 3}
    for layer in PLAN:
        assert width[layer.source] == layer.channels[0], layer.name
        if layer.plus:
            assert width[layer.plus] == layer.channels[1], layer.name
        width[layer.name] = layer.channels[1]
