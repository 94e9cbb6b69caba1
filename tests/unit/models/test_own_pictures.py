"""From a user's folder to what is learned from: pictures read as the agent reads them, problems told, a split made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cameras import geometry, letterbox
from agent.types import ModelInput
from models.dataset.augment import Change, View, drawn_gain, drawn_view, moved, seen
from models.dataset.card import DETECTION, Made, Measured, card
from models.dataset.layout import read_classification, read_detection
from models.dataset.pictures import letterbox as own_letterbox
from models.dataset.prepare import Prepared, Wish, prepared
from models.detector.batches import measuring_batches, rows_of, training_batch
from models.run.settings import Asked
from models.worth import Worth
from protos.errors import Rejected
from protos.judged import Cost, Judged, JudgedJpeg, JudgedVariant
from tests.unit.models import drawn_sets

UNTOLD = Worth(None, "2 pictures to judge by are too few; give at least 32")
TOLD = Judged(
    "mAP50",
    512,
    20716,
    (JudgedVariant("fp32", 0.9217, 0.812, ((0.3, 0.1), (0.7, 0.9)), Cost(6300, 400)),),
    (JudgedJpeg(70, 320, 9800, 0.919, 0.805),),
)
QUIET = lambda *_: None  # noqa: E731 - nobody listens


def detection(folder: Path, work: Path, bad: str = "refuse", seed: int = 7) -> Prepared:
    return prepared(Wish(str(folder), 64, 0.2, bad, seed), read_detection, work, QUIET)


def names(data: Prepared) -> tuple[set[str], set[str]]:
    train, val = ({each.item.picture.name for each in side} for side in (data.split.train, data.split.val))
    return train, val


# --- reading


@pytest.mark.parametrize("size", [(640, 360), (90, 200), (64, 64), (1000, 37), (30, 41)])
def test_the_letterbox_of_training_is_the_agents(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    square, placed = own_letterbox(picture, 96)
    wanted, where = letterbox.letterbox(picture, 96, 96)
    assert np.array_equal(square, wanted)
    box = (0.1, 0.2, 0.7, 0.9)
    assert [side * 96 for side in placed.box(box)] == pytest.approx(geometry.to_input(box, where))
    assert ModelInput(96, 96).fit == "letterbox"


def test_a_box_of_a_wide_picture_lies_around_its_pixels_in_the_square(tmp_path: Path) -> None:
    drawn_sets.yolo(tmp_path / "set", 4, 2)
    data = detection(tmp_path / "set", tmp_path / "work")
    for picture in data.split.train:
        bright = data.squares[picture.row].max(axis=2) > 140
        for x0, y0, x1, y1, _ in (rows_of(picture)[:, :] * [64, 64, 64, 64, 1]).tolist():
            assert bright[round(y0) + 1 : round(y1) - 1, round(x0) + 1 : round(x1) - 1].all()


def test_all_problems_of_annotations_and_pictures_are_told_together(tmp_path: Path) -> None:
    drawn_sets.yolo(tmp_path / "set", 4, 2)
    labels, images = tmp_path / "set" / "labels" / "train", tmp_path / "set" / "images" / "train"
    (labels / "0001.txt").write_text("9 0.5 0.5 0.1 0.1\n")
    (images / "0002.png").write_bytes(b"no picture")
    (images / "0003.png").write_bytes(b"")
    with pytest.raises(Rejected) as refused:
        detection(tmp_path / "set", tmp_path / "work")
    assert str(refused.value).splitlines()[1:4] == [
        f"  {labels / '0001.txt'}:1: there is no class 9; data.yaml names 0 to 1",
        f"  {images / '0002.png'}: is no picture that can be decoded",
        f"  {images / '0003.png'}: is no picture that can be decoded",
    ]
    left = detection(tmp_path / "set", tmp_path / "work", bad="skip")
    assert names(left) == ({"0004.png"}, {"1001.png", "1002.png"})


def test_a_picture_of_another_size_than_its_annotations_say_is_named(tmp_path: Path) -> None:
    drawn_sets.coco(tmp_path / "set", 4)
    cv2.imwrite(str(tmp_path / "set" / "images" / "002.png"), np.zeros((50, 60, 3), np.uint8))
    with pytest.raises(Rejected, match=r"002\.png: is 60 × 50 pixels, but its annotations say 120 × 90"):
        detection(tmp_path / "set", tmp_path / "work")


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (Wish("set", 60, 0.2, "refuse", 7), "size: 60 has to be a multiple of 32"),
        (Wish("set", 64, 0.0, "refuse", 7), "val: 0 is not between"),
        (Wish("set", 64, 0.2, "maybe", 7), "bad: 'maybe' has to be 'refuse' or 'skip'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(tmp_path: Path, wish: Wish, says: str) -> None:
    drawn_sets.coco(tmp_path / "set", 4)
    asked = Wish(str(tmp_path / wish.data), wish.size, wish.val, wish.bad, wish.seed)
    with pytest.raises(Rejected, match=says):
        prepared(asked, read_detection, tmp_path / "work", QUIET)


def test_a_set_with_nothing_in_it_is_refused(tmp_path: Path) -> None:
    file = drawn_sets.coco(tmp_path / "set", 3)
    document = json.loads(file.read_text())
    drawn_sets.write_coco(file, document["images"], [], document["categories"])
    with pytest.raises(Rejected, match="no picture with something annotated in it left to train on"):
        detection(tmp_path / "set", tmp_path / "work")
    drawn_sets.write_coco(file, [], [], document["categories"])
    with pytest.raises(Rejected, match="holds no picture"):
        detection(tmp_path / "set", tmp_path / "work")


# --- split


def test_a_drawn_split_is_that_of_its_seed_and_has_every_class_on_both_sides(tmp_path: Path) -> None:
    drawn_sets.class_folders(tmp_path / "set", 10)
    wish = Wish(str(tmp_path / "set"), 64, 0.2, "refuse", 7)
    one = prepared(wish, read_classification, tmp_path / "a", QUIET)
    again = prepared(wish, read_classification, tmp_path / "b", QUIET)
    other = prepared(Wish(wish.data, 64, 0.2, "refuse", 8), read_classification, tmp_path / "c", QUIET)
    assert one.split == again.split != other.split
    assert (one.counts(one.split.train), one.counts(one.split.val)) == ([8, 8], [2, 2])
    assert not one.given


def test_the_same_picture_is_never_on_both_sides(tmp_path: Path) -> None:
    folder = drawn_sets.class_folders(tmp_path / "set", 6)
    for number in range(20):
        (folder / "blue" / f"copy{number}.png").write_bytes((folder / "blue" / "000.png").read_bytes())
    for seed in range(8):
        wish = Wish(str(folder), 64, 0.3, "refuse", seed)
        data = prepared(wish, read_classification, tmp_path / f"work{seed}", QUIET)
        train, val = ({each.digest for each in side} for side in (data.split.train, data.split.val))
        assert not train & val


def test_a_split_that_leaks_is_told_by_both_names(tmp_path: Path) -> None:
    drawn_sets.yolo(tmp_path / "set", 4, 2)
    images = tmp_path / "set" / "images"
    (images / "val" / "1002.png").write_bytes((images / "train" / "0003.png").read_bytes())
    with pytest.raises(Rejected) as refused:
        detection(tmp_path / "set", tmp_path / "work")
    assert f"{images}/val/1002.png: the same picture is in the training set, as {images}/train/0003.png" in str(
        refused.value
    )
    (tmp_path / "set" / "data.yaml").write_text("train: images/train\nval: [images/val, images/train]\nnames: [a, b]\n")
    with pytest.raises(Rejected, match=r"0001\.png: is in the training set and in the validation set"):
        detection(tmp_path / "set", tmp_path / "work")


def test_a_dataset_is_named_by_its_content_and_a_run_keeps_to_it(tmp_path: Path) -> None:
    drawn_sets.yolo(tmp_path / "set", 4, 2)
    first = detection(tmp_path / "set", tmp_path / "work")
    (tmp_path / "set").rename(tmp_path / "moved")
    assert detection(tmp_path / "moved", tmp_path / "work").digest == first.digest
    (tmp_path / "moved" / "labels" / "train" / "0001.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(Rejected, match="changed since this Run began"):
        detection(tmp_path / "moved", tmp_path / "work")
    assert detection(tmp_path / "moved", tmp_path / "new").digest != first.digest


# --- augmentation


@pytest.mark.parametrize("mirrored", [False, True])
def test_boxes_move_with_their_pixels(mirrored: bool) -> None:
    square = np.full((64, 64, 3), 20, np.uint8)
    square[16:32, 40:56] = 200
    rows = np.array([[40 / 64, 0.25, 56 / 64, 0.5, 1]], np.float32)
    view = View(0.75, mirrored, 0.1 + 0.75 * mirrored, 0.2)
    ((x0, y0, x1, y1, label),) = moved(rows, view, 64) * [64, 64, 64, 64, 1]
    rows_lit, columns_lit = np.nonzero(seen(square, view, np.ones(3))[:, :, 0] > 150)
    assert [columns_lit.min(), rows_lit.min(), columns_lit.max() + 1, rows_lit.max() + 1] == pytest.approx(
        [x0, y0, x1, y1], abs=1.01
    )
    assert label == 1


def test_what_leaves_the_picture_takes_its_box_along() -> None:
    rows = np.array([[0.0, 0.4, 0.2, 0.6, 0], [0.5, 0.4, 0.7, 0.6, 1]], np.float32)
    assert moved(rows, View(1.0, False, -0.15, 0.0), 64)[:, 4].tolist() == [1]
    assert moved(rows, View(1.0, False, -0.1, 0.0), 64)[0].tolist() == pytest.approx([0.0, 0.4, 0.1, 0.6, 0])


def test_views_stay_within_the_change_and_flip_only_when_they_may() -> None:
    rng = np.random.default_rng(0)
    views = [drawn_view(rng, Change(flip=False)) for _ in range(200)]
    assert not any(view.mirrored for view in views)
    assert 1 / 1.5 <= min(view.scale for view in views) < max(view.scale for view in views) <= 1.5
    assert any(drawn_view(rng, Change()).mirrored for _ in range(20))
    grey = np.full((4, 4, 3), 114, np.uint8)
    assert np.array_equal(seen(grey, View(1.0, False, 0.0, 0.0), drawn_gain(rng, Change())), grey)


def test_batches_are_squares_and_rows_of_the_side_they_are_for(tmp_path: Path) -> None:
    drawn_sets.yolo(tmp_path / "set", 3, 2)
    data = detection(tmp_path / "set", tmp_path / "work")
    images, rows = training_batch(np.random.default_rng(0), data, 5, Change())
    assert images.dtype == np.uint8
    assert (images.shape, rows.shape[0], rows.shape[2]) == ((5, 64, 64, 3), 5, 5)
    batches = list(measuring_batches(data, data.split.val, 1))
    assert len(batches) == 2
    assert [len(real[real[:, :, 4] >= 0]) for _, real in batches] == [len(each.item.classes) for each in data.split.val]


# --- card


def test_the_card_says_what_was_measured_on_what_and_how_little_it_may_mean(tmp_path: Path) -> None:
    drawn_sets.yolo(tmp_path / "set", 4, 2)
    data = detection(tmp_path / "set", tmp_path / "work")
    made = Made({"epochs": 3, "flip": True, "data": "/home/me/set"}, {"torch": "2.13.0"})
    text = card(Asked("yard", "1.2.0"), DETECTION, data, Measured([0.5, float("nan")], 0.5, UNTOLD), made)
    train, val = data.counts(data.split.train), data.counts(data.split.val)
    assert text.startswith("# yard 1.2.0\n")
    assert f"| square | 0.500 | {train[0]} | {val[0]} |\n| bar | – | {train[1]} | {val[1]} |" in text
    assert f"| dataset | `{data.digest}` |" in text
    assert "| split | the folder's own |" in text
    assert "| settings | `epochs=3 flip=true` |" in text
    assert "boxes take careful priors: 2 pictures to judge by are too few; give at least 32" in text
    assert "/home/me" not in text
    assert "Only 2 pictures were measured on" in text
    assert "Fewer than 50 examples were learned from for: square, bar." in text


def test_the_card_tells_what_the_manifest_tells_to_boxes(tmp_path: Path) -> None:
    drawn_sets.yolo(tmp_path / "set", 4, 2)
    data = detection(tmp_path / "set", tmp_path / "work")
    text = card(Asked("yard", "1.2.0"), DETECTION, data, Measured([0.5, 0.5], 0.5, Worth(TOLD)), Made({}, {}))
    assert "| mAP50 | 0.9217 |\n| answered right | 81.2 % |" in text
    assert "| a score of 0.3, 0.5, 0.7 is right | 10.0 %, 50.0 %, 90.0 % |" in text
    assert "| a call of n pictures | 6.3·n + 0.4 ms, on one thread" in text
    assert "| 70 | 320 px | 9800 | 0.9190 | 80.5 % |" in text
    assert "on 512 pictures with 20716 objects that were not learned from" in text
    assert "careful priors" not in text


def test_the_card_of_a_release_whose_scores_or_costs_nobody_could_tell_says_so(tmp_path: Path) -> None:
    drawn_sets.yolo(tmp_path / "set", 4, 2)
    data = detection(tmp_path / "set", tmp_path / "work")
    told = Worth(replace(TOLD, variants=(JudgedVariant("fp32", 0.9, 0.8),)))
    text = card(Asked("yard", "1.2.0"), DETECTION, data, Measured([0.5, 0.5], 0.5, told), Made({}, {}))
    assert "is right | – |\n| a call of n pictures | – |" in text
