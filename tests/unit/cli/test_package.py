"""Making a release of an ONNX file."""

from __future__ import annotations

import contextlib
import hashlib
import io
import shlex
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from controlplane.cli import onnx_outline
from protos import manifest
from protos.errors import Rejected
from tests.sim import exports
from tests.sim.command import Run

LABELS = "boat\n\ncontainer\n"


def write_model(
    path: Path,
    element: int = TensorProto.UINT8,
    shape: tuple[object, ...] = ("N", 320, 320, 3),
    name: str = "image",
) -> Path:
    image = helper.make_tensor_value_info(name, element, shape)
    corners = 4 if element == TensorProto.UINT8 else 3  # what takes no picture has no boxes either
    outputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ("N", 10, corners)),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("N", 10)),
        helper.make_tensor_value_info("classes", TensorProto.INT64, ("N", 10)),
    ]
    values = [np.zeros((1, 10, corners), np.float32), np.zeros((1, 10), np.float32), np.zeros((1, 10), np.int64)]
    nodes = [
        helper.make_node("Constant", [], [item.name], value=numpy_helper.from_array(value))
        for item, value in zip(outputs, values, strict=True)
    ]
    graph = helper.make_graph(nodes, "g", [image], outputs)
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_a_detection_model_becomes_a_release_that_parses(run: Run, tmp_path: Path) -> None:
    model = write_model(tmp_path / "boats.onnx")
    (tmp_path / "labels.txt").write_text(LABELS)
    target = tmp_path / "boats-1.0.0"
    made = run(
        "package",
        str(model),
        "--name",
        "boats",
        "--version",
        "1.0.0",
        "--labels",
        str(tmp_path / "labels.txt"),
        "-o",
        str(target),
    )
    assert (made.code, "a detection model on 320×320 pictures, 2 classes" in made.out) == (0, True)
    release = manifest.parse((target / "manifest.json").read_bytes())
    assert (release.task, release.labels, release.version) == ("detection", ("boat", "container"), "1.0.0")
    assert release.input is not None
    assert (release.input.name, release.input.height, release.input.width) == ("image", 320, 320)
    assert {entry.path for entry in release.files} == {"model.onnx", "labels.txt", "card.md"}


def test_any_other_graph_becomes_a_tensor_model(run: Run, tmp_path: Path) -> None:
    model = write_model(tmp_path / "speech.onnx", TensorProto.FLOAT, ("N", 3, 320, 320))
    made = run("package", str(model), "--name", "speech", "--version", "1", "-o", str(tmp_path / "out"))
    assert made.code == 0
    release = manifest.parse((tmp_path / "out" / "manifest.json").read_bytes())
    assert (release.task, release.input, release.labels) == ("tensor", None, ())


def test_a_detection_model_without_class_names_is_refused(run: Run, tmp_path: Path) -> None:
    model = write_model(tmp_path / "boats.onnx")
    made = run("package", str(model), "--name", "boats", "--version", "1", "-o", str(tmp_path / "out"))
    assert (made.code, "add --labels FILE" in made.err) == (1, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--name", "Boats", "--version", "1"), "model name 'Boats' must be"),
        (("--name", "boats", "--version", "1/2"), "version '1/2' must be"),
        (("--name", "boats", "--version", "1", "--precision", "fp8"), "--precision must be one of"),
    ],
)
def test_a_wrong_wish_is_refused(run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    model = write_model(tmp_path / "boats.onnx", TensorProto.FLOAT)
    made = run("package", str(model), *arguments, "-o", str(tmp_path / "out"))
    assert (made.code, said in made.err) == (1, True)


def tensor(name: str, count: int) -> TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, (count,), bytes(4 * count), raw=True)


def weighty(count: int) -> bytes:
    """A model with `count` numbers in each place where a graph may keep some."""
    given = helper.make_tensor_value_info("given", TensorProto.FLOAT, ("N",))
    taken = helper.make_tensor_value_info("taken", TensorProto.FLOAT, ("N",))
    unpacked = helper.make_tensor("floats", TensorProto.FLOAT, (count,), [0.5] * count)
    constant = helper.make_node("Constant", [], ["c"], value=tensor("v", count))
    inner = helper.make_graph([constant], "inner", [], [given])
    branch = helper.make_node("If", ["taken"], ["given"], then_branch=inner, else_branch=inner)
    graph = helper.make_graph([branch], "g", [taken], [given], [tensor("raw", count), unpacked])
    return bytes(helper.make_model(graph).SerializeToString())


def test_the_outline_of_a_model_is_the_model_without_its_weights() -> None:
    content = weighty(100_000)
    short = onnx_outline.outline(io.BytesIO(content), len(content))
    assert len(short) < 2000 < len(content)
    model, whole = ModelProto.FromString(short), ModelProto.FromString(content)
    assert [item.name for item in model.graph.initializer] == ["raw", "floats"]
    assert [item.dims for item in model.graph.initializer] == [[100_000], [100_000]]
    assert (model.graph.input, model.graph.output) == (whole.graph.input, whole.graph.output)
    assert model.graph.node[0].attribute[0].g.node[0].op_type == "Constant"
    assert model.opset_import == whole.opset_import


@settings(deadline=None)
@given(st.data())
def test_no_damage_to_a_model_gets_past_as_anything_but_a_sentence(data: st.DataObject) -> None:
    content = bytearray(weighty(20_000))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    kept = data.draw(st.integers(0, len(content)))
    with contextlib.suppress(Rejected):
        assert len(onnx_outline.outline(io.BytesIO(bytes(content[:kept])), kept)) <= kept


def test_a_model_that_breaks_off_in_its_weights_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(weighty(100_000)[:900_000])
    made = run("package", str(tmp_path / "x.onnx"), "--name", "x", "--version", "1", "-o", str(tmp_path / "out"))
    assert (made.code, "a part of it is missing" in made.err) == (1, True)
    assert {path.name for path in tmp_path.iterdir()} == {"home", "x.onnx"}


def test_garbage_is_no_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"garbage that is no protobuf \xff\xff\xff")
    made = run("package", str(tmp_path / "x.onnx"), "--name", "x", "--version", "1", "-o", str(tmp_path / "out"))
    assert (made.code, "is no ONNX file" in made.err) == (1, True)


def test_an_existing_folder_is_not_written_over(run: Run, tmp_path: Path) -> None:
    model = write_model(tmp_path / "x.onnx", TensorProto.FLOAT)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    made = run("package", str(model), "--name", "x", "--version", "1", "-o", str(tmp_path / "out"))
    assert (made.code, "not empty" in made.err) == (1, True)


def test_an_input_by_another_name_is_told_before_a_box_would_refuse_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text(LABELS)
    model = write_model(tmp_path / "boats.onnx", name="pixels")
    words = ("--name", "b", "--version", "1", "--labels", str(tmp_path / "labels.txt"), "-o", str(tmp_path / "b"))
    done = run("package", str(model), *words)
    assert done.code == 1
    assert "input's name, 'pixels'" in done.err
    assert "input_names=['image']" in done.err


def with_a_plug_in(model: ModelProto) -> bytes:
    model.graph.node.append(helper.make_node("EfficientNMS", [model.graph.output[0].name], ["dets"], domain="plug.in"))
    model.opset_import.append(helper.make_opsetid("plug.in", 1))
    return bytes(model.SerializeToString())


def test_which_operators_a_model_may_use_is_asked_of_the_gate_alone(run: Run, tmp_path: Path) -> None:
    model = exports.yolov8(exports.Net(batch=1))
    helper.set_model_props(model, {"names": "{0: 'boat', 1: 'truck', 2: 'crane'}", "task": "detect"})
    (tmp_path / "x.onnx").write_bytes(with_a_plug_in(model))
    wish = ("package", str(tmp_path / "x.onnx"), "--name", "x", "--version", "1", "-o", str(tmp_path / "out"))
    refused = run(*wish)
    assert (refused.code, "uses operators of 'plug.in', which no box has" in refused.err) == (1, True)
    made = run(*wish, "--allow-operator", "plug.in:EfficientNMS")
    assert made.code == 0, made.err
    assert b"plug.in" not in (tmp_path / "out" / "model.onnx").read_bytes(), "no output of ours needs it"


def test_an_operator_that_is_allowed_and_that_no_runtime_has_is_refused_by_its_trial(run: Run, tmp_path: Path) -> None:
    model = ModelProto.FromString(write_model(tmp_path / "x.onnx", TensorProto.FLOAT).read_bytes())
    (tmp_path / "x.onnx").write_bytes(with_a_plug_in(model))
    wish = ("package", str(tmp_path / "x.onnx"), "--name", "x", "--version", "1", "-o", str(tmp_path / "out"))
    refused = run(*wish, "--allow-operator", "plug.in:EfficientNMS")
    assert (refused.code, "(rule trial)" in refused.err) == (1, True)


def test_a_strangers_detector_is_brought_into_our_form(run: Run, tmp_path: Path) -> None:
    made = exports.yolov8(exports.Net(batch=1))
    helper.set_model_props(made, {"names": "{0: 'boat', 1: 'truck', 2: 'crane'}", "task": "detect"})
    (tmp_path / "yolo.onnx").write_bytes(made.SerializeToString())
    target = tmp_path / "yolo"
    done = run("package", str(tmp_path / "yolo.onnx"), "--name", "yolo", "--version", "1", "-o", str(target))
    assert (done.code, "a detection model on 96×64 pictures, 3 classes" in done.out) == (0, True), done.err
    assert "the fixed batch of 1 was freed" in done.out
    release = manifest.parse((target / "manifest.json").read_bytes())
    assert (release.task, release.labels) == ("detection", ("boat", "truck", "crane"))
    assert release.input == manifest.ImageInput("image", 64, 96)
    card = (target / "card.md").read_text()
    digest = hashlib.sha256((tmp_path / "yolo.onnx").read_bytes()).hexdigest()
    assert all(
        part in card for part in (digest, "| head | yolov8 |", "96×64, letterbox", "pixel / 255", "IoU up to 0.7")
    )


def test_inspection_explains_and_gives_the_command_that_works(run: Run, tmp_path: Path) -> None:
    (tmp_path / "My Boats.onnx").write_bytes(exports.yolox(exports.Net()).SerializeToString())
    (tmp_path / "labels.txt").write_text("boat\ntruck\ncrane\n")
    flags = ("--top-k", "7", "--mean", "1,2.5,3", "--size", "96x64", "--fit", "stretch")
    seen = run("package", str(tmp_path / "My Boats.onnx"), "--inspect", *flags)
    assert seen.code == 0
    assert "This is a detector of 3 classes with the yolox head" in seen.out
    words = shlex.split(seen.out.splitlines()[-1].replace("labels.txt", str(tmp_path / "labels.txt")))
    assert set(flags) < set(words)
    assert run(*words[1:]).code == 0
    assert not any(tmp_path.glob("*-1.0.0"))  # it wrote where it was called, as the command says


def test_inspection_names_the_files_it_was_given(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(exports.yolox(exports.Net()).SerializeToString())
    (tmp_path / "my names.txt").write_text("boat\ntruck\ncrane\n")
    seen = run("package", str(tmp_path / "x.onnx"), "--inspect", "--labels", str(tmp_path / "my names.txt"))
    assert run(*shlex.split(seen.out.splitlines()[-1])[1:]).code == 0


def test_names_of_ours_on_another_form_are_no_reason_to_take_it_as_it_is(run: Run, tmp_path: Path) -> None:
    model = onnx.load(write_model(tmp_path / "x.onnx"))
    model.graph.output[2].type.tensor_type.elem_type = TensorProto.FLOAT  # classes, as TensorFlow gives them
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    seen = run("package", str(tmp_path / "x.onnx"), "--inspect")
    assert "own form" not in seen.out
    assert "gives  boxes  float [N,10,4]" in seen.out
    assert "source." not in seen.out


def test_a_classifier_in_our_form_gets_as_many_names_as_it_has_classes(run: Run, tmp_path: Path) -> None:
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ("N", 8, 8, 3))
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("N", 3))
    graph = helper.make_graph([helper.make_node("Cast", ["image"], ["scores"], to=1)], "g", [image], [scores])
    (tmp_path / "x.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    (tmp_path / "two.txt").write_text("boat\ntruck\n")
    words = ("--name", "x", "--version", "1", "--labels", str(tmp_path / "two.txt"), "-o", str(tmp_path / "out"))
    made = run("package", str(tmp_path / "x.onnx"), *words)
    assert (made.code, "gives 3 classes, but there are 2 names" in made.err) == (1, True)


@pytest.mark.parametrize("words", [(), ("--task", "tensor")])
def test_an_empty_file_is_no_model_for_anybody(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "x.onnx").touch()
    given = ("--name", "x", "--version", "1", "-o", str(tmp_path / "out"), *words)
    made = run("package", str(tmp_path / "x.onnx"), *given)
    assert (made.code, "holds no ONNX graph" in made.err, (tmp_path / "out").exists()) == (1, True, False)


def test_a_model_for_cameras_without_names_is_refused_unless_it_is_meant_to_be_served_as_it_is(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "x.onnx").write_bytes(exports.yolox(exports.Net()).SerializeToString())
    given = ("package", str(tmp_path / "x.onnx"), "--name", "x", "--version", "1", "-o", str(tmp_path / "out"))
    refused = run(*given)
    assert (refused.code, (tmp_path / "out").exists()) == (1, False)
    assert "this looks like a detector with the yolox head" in refused.err
    assert "add --labels FILE" in refused.err
    made = run(*given, "--task", "tensor")
    assert (made.code, "a tensor model" in made.out) == (0, True)


def test_a_model_that_no_camera_can_use_says_why_and_how_to_have_it_all_the_same(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(exports.yolov8(exports.Net(), sides=("h", "w")).SerializeToString())
    given = ("package", str(tmp_path / "x.onnx"), "--name", "x", "--version", "1")
    made = run(*given, "-o", str(tmp_path / "out"))
    assert (made.code, "a tensor model" in made.out) == (0, True)
    assert "served as they are, since for cameras it does not fit: the model takes pictures of any size" in made.out
    assert "if cameras are to have it all the same, say --task detection --head HEAD" in made.out
    asked = run(*given, "-o", str(tmp_path / "asked"), "--task", "tensor")
    assert (asked.code, len(asked.out.splitlines())) == (0, 2)  # who asked for it is told nothing more


def test_what_is_missing_is_said_at_once(run: Run, tmp_path: Path) -> None:
    made = run("package", str(write_model(tmp_path / "x.onnx")), "--name", "x")
    assert (made.code, "--version, -o wanted; or --inspect" in made.err) == (2, True)


@pytest.mark.parametrize(
    ("names", "words", "said"),
    [
        ("", (), "holds no names; it wants one a line"),
        ("a\n\nb\x1b[31m\nc\n", (), "names.txt, line 3: a name holds no control character"),
        (f"a\n{'b' * 257}\nc\n", (), "names.txt, line 2: a name has 257 characters, at most 256 are taken"),
        (f"a\n{'b' * 257}\nc\n", ("--task", "tensor"), "line 2: a name has 257 characters"),
        ("a\n" * 32_769, (), "names.txt holds 32769 names, and a release has at most 32768"),
        (
            "a\nb\nc\n",
            ("--task", "tensor", "--size", "64"),
            "--size has nothing to act on with a graph that is packaged",
        ),
        ("a\nb\nc\n", ("--task", "tensor", "--head", "yolox"), "--head has nothing to act on with a graph"),
        ("a\nb\nc\n", ("-o", "."), "-o . names no new folder"),
    ],
)
def test_what_no_registry_would_take_or_nobody_hears_is_refused_before_it_is_written(
    run: Run, tmp_path: Path, names: str, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "x.onnx").write_bytes(exports.yolox(exports.Net()).SerializeToString())
    (tmp_path / "names.txt").write_text(names)
    given = ("--name", "x", "--version", "1", "--labels", str(tmp_path / "names.txt"), "-o", str(tmp_path / "out"))
    made = run("package", str(tmp_path / "x.onnx"), *given, *words)
    assert (made.code, said in made.err) == (1, True), made.err
    assert {path.name for path in tmp_path.iterdir()} == {"home", "x.onnx", "names.txt"}
