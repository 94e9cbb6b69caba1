"""A user's annotations: what is read, and what is wrong with them, by file and line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from models.dataset.items import SHOWN, Annotated, Problems
from models.dataset.json_lines import lists_of
from models.dataset.layout import read_classification, read_detection
from protos.errors import Rejected
from tests.unit.models import drawn_sets

Document = dict[str, Any]


def problems_of(place: Path) -> list[str]:
    problems = Problems()
    read_detection(str(place), problems)
    return problems.lines


def read(place: Path) -> Annotated:
    problems = Problems()
    annotated = read_detection(str(place), problems)
    assert problems.lines == []
    return annotated


# --- COCO


def test_a_coco_folder_gives_boxes_in_0_to_1_and_classes_in_the_order_of_category_ids(tmp_path: Path) -> None:
    drawn_sets.coco(tmp_path, 5)
    found = read(tmp_path)
    assert (found.layout, found.labels, found.val) == ("COCO", drawn_sets.LABELS, None)
    assert len(found.train) == 5
    _, objects = drawn_sets.picture(1)
    wanted = [(x0 / 120, y0 / 90, x1 / 120, y1 / 90) for x0, y0, x1, y1, _ in objects]
    assert list(found.train[0].boxes) == [pytest.approx(box) for box in wanted]
    assert found.train[0].classes == tuple(label for *_, label in objects)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda a: a.update(bbox=[100, 5, 40, 9]),
            "the box lies outside the picture (100, 5, 40 × 9 in 120 × 90 pixels)",
        ),
        (lambda a: a.update(bbox=[1, 1, 0, 9]), "the box is 0 × 9 pixels; both have to be above 0"),
        (lambda a: a.update(bbox=[1, 1, 5, -9]), "the box is 5 × -9 pixels"),
        (lambda a: a.update(bbox=[1, "x", 5, 9]), "'bbox' [1, 'x', 5, 9] holds something that is no number"),
        (lambda a: a.update(bbox=[1, 2, 3]), "'bbox' has to be a list of x, y, width and height"),
        (lambda a: a.pop("bbox"), "'bbox' has to be a list"),
        (lambda a: a.update(bbox=[1, float("nan"), 5, 9]), "no finite number"),
        (lambda a: a.update(category_id=7), "there is no category with id 7"),
        (lambda a: a.update(category_id=[1]), "there is no category with id '[1]'"),
        (lambda a: a.update(image_id=99), "there is no image with id 99"),
    ],
)
def test_a_bad_coco_annotation_is_named_by_file_and_line(
    tmp_path: Path, spoil: Callable[[Document], object], says: str
) -> None:
    file = drawn_sets.coco(tmp_path, 4)
    document = json.loads(file.read_text())
    spoil(document["annotations"][2])
    drawn_sets.write_coco(file, document["images"], document["annotations"], document["categories"])
    line = next(
        number for number, text in enumerate(file.read_text().splitlines(), 1) if '{"id": 3, "image_id"' in text
    )
    (found,) = problems_of(tmp_path)
    assert found.startswith(f"{file}:{line}: annotation 3: ")
    assert says in found


def test_ids_used_twice_and_pictures_that_are_not_there_are_named(tmp_path: Path) -> None:
    file = drawn_sets.coco(tmp_path, 3)
    document = json.loads(file.read_text())
    document["images"][1]["id"] = 1
    document["images"][2]["file_name"] = "gone.png"
    document["images"].append({"id": 8, "file_name": "001.png", "width": 120, "height": 90})
    document["images"].append({"id": 9, "file_name": "002.png", "width": 0, "height": 90})
    document["annotations"] = [{**document["annotations"][0], "id": number} for number in (1, 1)]
    drawn_sets.write_coco(file, document["images"], document["annotations"], document["categories"])
    assert problems_of(file) == [
        f"{file}:4: image id 1 is already used in line 3",
        f"{file}:5: image 3: there is no picture 'gone.png'",
        f"{file}:6: image 8: picture '001.png' is already listed in line 3",
        f"{file}:7: image 9 needs a width and a height above 0",
        f"{file}:11: annotation id 1 is already used in line 10",
    ]


def test_coco_files_are_told_apart_by_train_and_val_in_their_names(tmp_path: Path) -> None:
    content = drawn_sets.coco(tmp_path, 4).read_text()
    (tmp_path / "annotations").mkdir()
    for name in ("instances_train2017.json", "instances_val2017.json", "captions_val2017.json"):
        (tmp_path / "annotations" / name).write_text(content)
    (tmp_path / "annotations.json").unlink()
    found = read(tmp_path)
    assert found.val is not None
    assert (len(found.train), len(found.val)) == (4, 4)
    (tmp_path / "more.json").write_text(content)
    (tmp_path / "annotations" / "instances_train2017.json").unlink()
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(Rejected, match=r"one file with 'train' .* there are: .*more\.json, other\.json"):
        read_detection(str(tmp_path), Problems())


def test_a_crowd_is_no_object_and_a_rounding_beyond_the_edge_is_cut(tmp_path: Path) -> None:
    file = drawn_sets.coco(tmp_path, 1)
    document = json.loads(file.read_text())
    first = document["annotations"][0]
    crowd = {**first, "id": 50, "iscrowd": 1, "bbox": [[1, 2]]}
    document["annotations"] = [{**first, "bbox": [-0.3, 0, 120.5, 90.2]}, crowd]
    drawn_sets.write_coco(file, document["images"], document["annotations"], document["categories"])
    assert read(file).train[0].boxes == ((0.0, 0.0, 1.0, 1.0),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"images": [\n1,\n]}', ":3: not JSON"),
        ('{"images": []', ":1: not JSON"),
        ("[1, 2]", ":1: not JSON: expected '{'"),
        ('{"images": []}\n}', ":2: not JSON"),
        ('{"images": [], "annotations": []}', "has no 'categories'"),
        ('{"categories": [{"id": 1}]}', "has no list 'images'"),
        ("", ":1: not JSON"),
    ],
)
def test_json_that_is_none_is_named_by_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(Rejected) as refused:
        read_detection(str(tmp_path / "a.json"), Problems())
    assert says in str(refused.value)


def test_lists_of_json_are_what_the_standard_decoder_reads(tmp_path: Path) -> None:
    text = '\ufeff{ "a" : [ ] , "b":[{"x":[1,{"y":"]}"}]} ,\n\n 2.5e1],"c": {"d":[3]}, "e": [null]}\n'
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    found = lists_of(tmp_path / "a.json")
    plain = json.loads(text[1:])
    assert {name: [element.value for element in each] for name, each in found.items()} == {
        name: value for name, value in plain.items() if isinstance(value, list)
    }
    assert [element.line for element in found["b"]] == [1, 3]


# --- YOLO


def test_a_yolo_folder_gives_its_split_and_its_boxes(tmp_path: Path) -> None:
    drawn_sets.yolo(tmp_path, 3, 2)
    found = read(tmp_path)
    assert found.val is not None
    assert (found.layout, found.labels, len(found.train), len(found.val)) == ("YOLO", drawn_sets.LABELS, 3, 2)
    _, objects = drawn_sets.picture(1)
    wanted = [(x0 / 120, y0 / 90, x1 / 120, y1 / 90) for x0, y0, x1, y1, _ in objects]
    assert list(found.train[0].boxes) == [pytest.approx(box, abs=1e-5) for box in wanted]
    assert len(found.files) == 6


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 0.5 0.5 0.2", "4 numbers; a box is five"),
        ("0 0.5 half 0.2 0.2", "'half' is no number"),
        ("2 0.5 0.5 0.2 0.2", "there is no class 2; data.yaml names 0 to 1"),
        ("-1 0.5 0.5 0.2 0.2", "there is no class -1"),
        ("0.5 0.5 0.5 0.2 0.2", "there is no class 0.5"),
        ("0 0.5 0.5 0 0.2", "the box is 0 × 0.2; both have to be above 0"),
        ("0 0.5 0.5 0.2 -0.2", "both have to be above 0"),
        ("0 0.95 0.5 0.2 0.2", "the box lies outside the picture"),
        ("0 64 32 20 20", "numbers have to be 0..1 of its width and height, not pixels"),
        ("0 nan 0.5 0.2 0.2", "no finite number"),
    ],
)
def test_a_bad_yolo_line_is_named_by_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    drawn_sets.yolo(tmp_path, 2, 1)
    file = tmp_path / "labels" / "train" / "0002.txt"
    file.write_text(f"0 0.5 0.5 0.2 0.2\n\n{line}\n")
    (found,) = problems_of(tmp_path)
    assert found.startswith(f"{file}:3: ")
    assert says in found


def test_a_picture_without_a_text_file_holds_nothing_and_an_outline_is_boxed(tmp_path: Path) -> None:
    drawn_sets.yolo(tmp_path, 2, 1)
    (tmp_path / "labels" / "train" / "0001.txt").unlink()
    (tmp_path / "labels" / "train" / "0002.txt").write_text("1 0.1 0.2 0.5 0.3 0.4 0.8\n")
    found = read(tmp_path / "data.yaml")
    assert [item.boxes for item in found.train] == [(), ((0.1, 0.2, 0.5, 0.8),)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("names: [a, b]", "does not say where the pictures for training lie"),
        ("train: images/train", "'names' has to list the class names"),
        ("train: images/train\nnames: {0: a, 2: b}", "0, 1, 2, … without a gap"),
        ("train: images/train\nnames: [a, b]\nnc: 3", "'nc' says 3 classes, but 'names' has 2"),
        ("train: images/gone\nnames: [a, b]", "there is no 'images/gone'; looked for"),
        ("names: [a\ntrain: x", ":2: not YAML"),
        ("- a", "has to hold 'names' and 'train'"),
    ],
)
def test_a_data_yaml_that_cannot_be_used_says_what_it_needs(tmp_path: Path, text: str, says: str) -> None:
    drawn_sets.yolo(tmp_path, 1, 1).write_text(text)
    with pytest.raises(Rejected) as refused:
        read_detection(str(tmp_path), Problems())
    assert says in str(refused.value)
    assert str(tmp_path / "data.yaml") in str(refused.value)


def test_paths_as_exporters_write_them_are_found(tmp_path: Path) -> None:
    file = drawn_sets.yolo(tmp_path, 2, 1)
    file.write_text("train: ../images/train\nvalid: images/list.txt\nnames: {0: square, 1: bar}\n")
    (tmp_path / "images" / "list.txt").write_text("val/1001.png\n\nval/gone.png\n")
    problems = Problems()
    found = read_detection(str(tmp_path), problems)
    assert found.val is not None
    assert (len(found.train), len(found.val)) == (2, 1)
    assert problems.lines == [f"{tmp_path / 'images' / 'list.txt'}:3: there is no picture 'val/gone.png'"]


# --- class folders


def test_class_folders_give_a_class_a_picture_with_a_split_or_without(tmp_path: Path) -> None:
    drawn_sets.class_folders(tmp_path / "all", 3)
    found = read_classification(str(tmp_path / "all"), Problems())
    assert (found.labels, found.val) == (("blue", "red"), None)
    assert [item.classes for item in found.train] == [(0,)] * 3 + [(1,)] * 3
    drawn_sets.class_folders(tmp_path / "both" / "train", 3)
    drawn_sets.class_folders(tmp_path / "both" / "val", 1, ("blue", "green"))
    problems = Problems()
    found = read_classification(str(tmp_path / "both"), problems)
    assert found.val is not None
    assert len(found.val) == 1
    assert problems.lines == [
        f"{tmp_path}/both/val/green: class 'green' is not in {tmp_path}/both/train",
        f"{tmp_path}/both/val/red: no picture of this class",
    ]


def test_one_class_is_none(tmp_path: Path) -> None:
    drawn_sets.class_folders(tmp_path, 2, ("blue",))
    with pytest.raises(Rejected, match="two or more classes; there is only 'blue'"):
        read_classification(str(tmp_path), Problems())


# --- what is neither


def test_a_folder_of_the_other_recipe_is_sent_there(tmp_path: Path) -> None:
    drawn_sets.class_folders(tmp_path / "classes", 1)
    with pytest.raises(Rejected, match="the recipe 'classifier' learns from them"):
        read_detection(str(tmp_path / "classes"), Problems())
    drawn_sets.yolo(tmp_path / "boxes", 1, 1)
    with pytest.raises(Rejected, match="the recipe 'detector' learns from them"):
        read_classification(str(tmp_path / "boxes"), Problems())


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("", "say where your pictures are: --set data="),
        ("gone", "there is no folder"),
        ("empty", "holds neither a data.yaml (YOLO) nor a .json file with annotations (COCO)"),
        ("a.png", "is neither a folder, a data.yaml nor a COCO .json file"),
    ],
)
def test_a_folder_that_is_none_of_them_says_what_is_looked_for(tmp_path: Path, place: str, says: str) -> None:
    (tmp_path / "empty").mkdir()
    cv2.imwrite(str(tmp_path / "a.png"), drawn_sets.picture(1)[0])
    with pytest.raises(Rejected) as refused:
        read_detection(place and str(tmp_path / place), Problems())
    assert says in str(refused.value)


def test_twenty_problems_are_listed_and_the_rest_counted() -> None:
    problems = Problems()
    for number in range(SHOWN + 5):
        problems.add(Path("a.txt"), "wrong", number + 1, Path(f"{number}.png"))
    with pytest.raises(Rejected) as refused:
        problems.settle("refuse")
    lines = str(refused.value).splitlines()
    assert lines[0] == "25 problems in the annotations or pictures:"
    assert lines[1:21] == [f"  a.txt:{number}: wrong" for number in range(1, 21)]
    assert lines[21:] == ["  … and 5 more", "mend them, or leave these pictures out with --set bad=skip"]
