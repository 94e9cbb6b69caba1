"""What differs between two releases."""

from __future__ import annotations

from dataclasses import replace

from controlplane.registry.difference import ADDED, CHANGED, REMOVED, SAME, Side, difference
from controlplane.registry.domain import StoredFile
from protos.ids import Version, digest_of
from protos.manifest import ImageInput, Manifest, Variant, parse
from tests.sim import releases
from tests.sim.control_plane import SimControlPlane

MADE = parse(releases.make("1.0.0").manifest)
GRAPH = {"opset": 17, "producer": "x", "nodes": 60, "parameters": 10, "weights": {"float32": 10}}
TENSOR = {"name": "image", "type": "uint8", "shape": ["N", "320", "320", "3"]}
OUTLINE = {**GRAPH, "inputs": [TENSOR], "outputs": [], "operators": {"Conv": 15, "Relu": 2}}


def side(manifest: Manifest = MADE, **parts: object) -> Side:
    files = tuple(StoredFile(entry.path, entry.digest, entry.size, entry.role) for entry in manifest.files)
    given = {"files": files, "outlines": {"model.onnx": OUTLINE}, **parts}
    return Side(name=f"{manifest.name}-{manifest.version}", manifest=manifest, **given)  # type: ignore[arg-type]


def test_a_release_differs_from_itself_in_nothing() -> None:
    assert difference(side(), side()).nothing


def test_fields_input_and_variants_are_told_one_by_one() -> None:
    newer = replace(
        MADE,
        version=Version("1.1.0"),
        input=ImageInput("image", 416, 640),
        variants=(*MADE.variants, Variant("int8", "int8", "model.onnx")),
        unknown={"license": "MIT"},
    )
    found = difference(side(), side(newer))
    assert [(line.name, line.change) for line in found.manifest] == [
        ("name", SAME),
        ("version", CHANGED),
        ("task", SAME),
        ("license", ADDED),
    ]
    assert [(line.before, line.after) for line in found.input if line.change == CHANGED] == [("320 × 320", "640 × 416")]
    assert [line.change for line in found.variants] == [SAME, ADDED]


def test_a_class_that_moved_is_a_change_because_its_number_did() -> None:
    found = difference(side(), side(replace(MADE, labels=("container", "boat", "buoy"))))
    assert [(line.name, line.change) for line in found.labels] == [("0", CHANGED), ("1", CHANGED), ("2", ADDED)]


def test_a_file_of_the_same_size_and_other_content_has_changed() -> None:
    other = StoredFile("model.onnx", digest_of(b"other"), MADE.file("model.onnx").size, "model")
    found = difference(side(), side(files=(other, StoredFile("new.bin", digest_of(b""), 0, "other"))))
    assert {line.path: line.change for line in found.files} == {
        "card.md": REMOVED,
        "labels.txt": REMOVED,
        "model.onnx": CHANGED,
        "new.bin": ADDED,
    }


def test_figures_and_graphs_are_compared_by_name() -> None:
    grown = {**OUTLINE, "nodes": 61, "operators": {"Conv": 16, "Sigmoid": 1}}
    before = side(figures={"mAP50": "0.922"})
    found = difference(before, side(figures={"mAP50": "0.941", "seed": "7"}, outlines={"model.onnx": grown}))
    assert [(line.name, line.change) for line in found.figures] == [("mAP50", CHANGED), ("seed", ADDED)]
    assert [line.name for line in found.graph or () if line.change == CHANGED] == ["nodes"]
    operators = {line.name: line.change for line in found.operators or ()}
    assert operators == {"Conv": CHANGED, "Sigmoid": ADDED, "Relu": REMOVED}
    assert difference(side(outlines=None), side()).graph is None


def test_the_difference_card_and_graphs_are_there_over_rest(plane: SimControlPlane) -> None:
    plane.push(releases.make("1.0.0"))
    plane.push(releases.make("1.1.0"))
    found = plane.client.get("/api/v1/releases/harbour-1-1-0/difference", params={"from": "harbour-1-0-0"}).json()
    assert {line["name"]: line["change"] for line in found["manifest"]}["version"] == CHANGED
    assert {line["path"]: line["change"] for line in found["files"]}["labels.txt"] == SAME
    assert plane.client.get("/api/v1/releases/harbour-1-1-0/card").text == "# harbour 1.1.0\n"
    graphs = plane.client.get("/api/v1/releases/harbour-1-1-0/graphs").json()["files"]
    assert graphs["model.onnx"]["opset"] == 17
    looked = len(plane.inspector.seen)
    plane.client.get("/api/v1/releases/harbour-1-1-0/graphs")
    assert len(plane.inspector.seen) == looked
    assert plane.client.get("/api/v1/releases/harbour-1-1-0/difference", params={"from": "no"}).status_code == 404
