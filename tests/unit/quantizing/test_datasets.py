"""Labelled pictures: COCO, YOLO and class folders are read; what is wrong in them is named by file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.quantizing import datasets
from protos.errors import Rejected

LABELS = ("boat", "truck")


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def yolo(folder: Path, rows: str = "1 0.5 0.5 0.2 0.4\n") -> Path:
    touch(folder / "images" / "a.jpg")
    touch(folder / "images" / "b.png")
    touch(folder / "labels" / "a.txt").write_text(rows)
    return folder


def coco(path: Path, **changes: Any) -> Path:
    touch(path.parent.parent / "val" / "a.jpg")
    document = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 100, "height": 50}],
        "categories": [{"id": 3, "name": "Truck"}, {"id": 9, "name": "zebra"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 10, 20, 20]},
            {"id": 2, "image_id": 7, "category_id": 9, "bbox": [0, 0, 1, 1]},
            {"id": 3, "image_id": 7, "category_id": 3, "bbox": [0, 0, 99, 49], "iscrowd": 1},
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document | changes))
    return path


def test_yolo_rows_become_corners_and_a_picture_without_rows_shows_nothing(tmp_path: Path) -> None:
    read = datasets.opened(yolo(tmp_path), "detection", LABELS)
    one, other = read.boxes.values()
    assert one.boxes.tolist() == [pytest.approx([0.4, 0.3, 0.6, 0.7])]
    assert one.classes.tolist() == [1]
    assert len(other.boxes) == 0


def test_names_in_data_yaml_are_matched_whatever_their_order_or_case(tmp_path: Path) -> None:
    (yolo(tmp_path, "0 .5 .5 .1 .1\n1 .5 .5 .1 .1\n") / "data.yaml").write_text("names: {0: TRUCK, 1: zebra}\n")
    read = datasets.opened(tmp_path, "detection", LABELS)
    assert (next(iter(read.boxes.values())).classes.tolist(), read.unknown) == ([1], 1)


def test_the_pictures_of_val_are_the_ones_to_judge_by(tmp_path: Path) -> None:
    (yolo(tmp_path / "train") / "x").mkdir()
    yolo(tmp_path / "val")
    (tmp_path / "data.yaml").write_text("names: [boat, truck]\nval: val/images\n")
    assert all("val" in path.parts for path in datasets.opened(tmp_path, "detection", LABELS).pictures)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("0 .5 .5 .1 .1\n\n5 .5 .5 .1 .1\n", r"a\.txt, line 3: class 5 is not one of the 2 known"),
        ("0 .5 .5 .1\n", r"a\.txt, line 1: must be five numbers"),
        ("0 320 240 10 10\n", r"line 1: x, y, width and height must be shares"),
        ("0 .5 nan .1 .1\n", "must be shares"),
        ("0 .5 half .1 .1\n", "line 1"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, rows: str, sentence: str) -> None:
    with pytest.raises(Rejected, match=sentence):
        datasets.opened(yolo(tmp_path, rows), "detection", LABELS)


def test_pictures_without_any_annotation_are_no_dataset(tmp_path: Path) -> None:
    touch(tmp_path / "images" / "a.jpg")
    with pytest.raises(Rejected, match=r"no annotation such as .*labels/a\.txt"):
        datasets.opened(tmp_path, "detection", LABELS)


def test_coco_is_read_by_name_with_pictures_beside_it_or_near(tmp_path: Path) -> None:
    read = datasets.opened(coco(tmp_path / "annotations" / "val.json"), "detection", LABELS)
    ((path, found),) = read.boxes.items()
    assert path == tmp_path / "val" / "a.jpg"
    assert found.boxes.tolist() == [pytest.approx([0.1, 0.2, 0.3, 0.6])]
    assert (found.classes.tolist(), read.unknown) == ([1], 1)
    assert datasets.opened(tmp_path, "detection", LABELS).pictures == [path], "the folder is named as well"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"annotations": [{"id": 4, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3]}]}, "annotation 4 has no bbox"),
        ({"annotations": [{"id": 4, "image_id": 8, "category_id": 3, "bbox": [1, 2, 3, 4]}]}, "4 is of image 8"),
        ({"annotations": [{"id": 4, "image_id": 7, "category_id": 3, "bbox": [1, 2, -3, 4]}]}, "negative size"),
        ({"categories": [{"id": 1, "name": "zebra"}]}, "classes zebra, and the release boat, truck: none is the same"),
        (
            {"images": [{"id": 7, "file_name": "gone.jpg", "width": 1, "height": 1}]},
            "names gone.jpg, which lies neither",
        ),
        ({"images": [{"id": 7, "file_name": "a.jpg"}]}, r"images\[0\] has no 'width'"),
        ({"images": 1}, "no list 'images'"),
        ({"images": []}, "lists no images|is of image 7"),
    ],
)
def test_a_coco_file_that_is_wrong_says_where(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Rejected, match=sentence):
        datasets.opened(coco(tmp_path / "annotations" / "val.json", **changes), "detection", LABELS)


def test_class_folders_are_read_by_name(tmp_path: Path) -> None:
    for name in ("Boat/a.jpg", "truck/b.jpg", "zebra/c.jpg"):
        touch(tmp_path / name)
    read = datasets.opened(tmp_path, "classification", LABELS)
    assert ({path.name: number for path, number in read.classes.items()}, read.unknown) == ({"a.jpg": 0, "b.jpg": 1}, 1)
    with pytest.raises(Rejected, match="one folder of pictures for each class"):
        datasets.opened(tmp_path / "Boat", "classification", LABELS)


def test_pictures_used_for_calibration_do_not_judge(tmp_path: Path) -> None:
    read = datasets.opened(yolo(tmp_path), "detection", LABELS)
    left = read.without({(tmp_path / "images" / "a.jpg").resolve()})
    assert [path.name for path in left.pictures] == ["b.png"]
