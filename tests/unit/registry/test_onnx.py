"""What is looked at in an ONNX file that somebody pushes, and that a hostile one hurts nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from controlplane.adapters.onnx_inspector import OnnxInspector
from controlplane.gate import agreement, lockdown, rules, runner, soundness, static
from controlplane.gate.rules import Refusal, Rule
from protos import manifest
from protos.errors import Rejected
from protos.ids import ModelName, Version, digest_of
from protos.manifest import FileEntry, ImageInput, Manifest, Variant
from sandbox import kernel, landlock
from tests.sim import models, releases

IMAGE = {"name": "image", "height": 32, "width": 64}
HARBOUR = Path(__file__).parents[3] / "models" / "harbour" / "release"
DETECTOR = models.detector().spec.model


def described(content: bytes, task: str = "detection") -> Manifest:
    image = ImageInput("image", 32, 64) if task != "tensor" else None
    entry = FileEntry("model.onnx", digest_of(content), len(content), "model")
    variant = Variant("fp32", "fp32", "model.onnx")
    return Manifest(ModelName("m"), Version("1"), task, image, (), (variant,), (entry,))


def check(content: bytes, task: str, image: dict[str, Any] | None) -> tuple[Refusal, ...]:
    return static.judged(content, {"task": task, "input": image})


def edited(edit: Any) -> bytes:
    model = onnx.load_from_string(DETECTOR)
    edit(model)
    return bytes(model.SerializeToString())


def external(model: Any) -> None:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "outside")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../etc/passwd"
    model.graph.initializer.append(tensor)


def foreign(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("com.evil", 1))
    inner = helper.make_graph([helper.make_node("Nope", [], ["c"], domain="com.evil")], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["scores"], [], then_branch=inner, else_branch=inner))


def float_input(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def flat_boxes(model: Any) -> None:
    shape = model.graph.output[0].type.tensor_type.shape
    del shape.dim[2:]


def broken_edge(model: Any) -> None:
    model.graph.node[0].input[0] = "nowhere"


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (external, "keeps weights in another file"),
        (foreign, "uses operators of 'com.evil', which no box has"),
        (float_input, "must take its input 'image' as uint8"),
        (flat_boxes, "gives 'boxes' with 2 dimensions, not 3"),
        (broken_edge, "is no sound ONNX model"),
        (lambda model: model.ClearField("graph"), "holds no ONNX graph"),
        (lambda model: model.ClearField("opset_import"), "holds no ONNX graph"),
    ],
)
def test_a_model_with_one_thing_wrong_is_refused_for_it(edit: Any, why: str) -> None:
    (refusal, *_) = check(edited(edit), "detection", IMAGE)
    assert why in refusal.sentence("model.onnx")


def no_text(model: Any) -> bytes:
    """Serialised, with a name that is no UTF-8."""
    return bytes(model.SerializeToString()).replace(b"Reshape", b"Resh\xffpe")


def test_a_name_that_is_no_text_is_the_file_s_fault_and_not_the_package_s() -> None:
    content = no_text(onnx.load_from_string(DETECTOR))
    assert b"\xff" in content
    with pytest.raises(Rejected, match=r"the operator .* is not allowed"):
        OnnxInspector().inspect("model.onnx", lambda: [content], described(content))


def test_whatever_the_parser_raises_is_about_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def surprise(*_: object) -> None:
        raise OverflowError

    monkeypatch.setattr(soundness, "parsed", surprise)
    (refusal,) = check(b"", "tensor", None)
    assert refusal == Refusal(Rule.NOT_ONNX, "is no ONNX file that can be read (OverflowError)")


def test_a_missing_package_is_not_the_file_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: bytes) -> None:
        raise ImportError

    monkeypatch.setattr(soundness, "parsed", missing)
    with pytest.raises(ImportError):
        check(b"", "tensor", None)


def test_names_in_a_file_reach_no_terminal_as_they_are() -> None:
    def loud(model: Any) -> None:
        model.graph.input.add().CopyFrom(model.graph.input[0])
        model.graph.input[1].name = "\x1b[2J" + "x" * 100_000

    (refusal,) = check(edited(loud), "detection", IMAGE)
    said = refusal.sentence("model.onnx")
    assert "must take one input 'image', not ?[2Jxx" in said.replace("\\x1b", "?")
    assert said.isprintable()
    assert len(refusal.detail) > rules.MAX_DETAIL
    assert len(said) <= rules.MAX_DETAIL + 100


def unknown_opset(model: Any) -> None:
    model.opset_import[0].version = 9999


def unknown_operator(model: Any) -> None:
    model.graph.node[0].op_type = "Nope"


def huge_tensor(model: Any) -> None:
    tensor = model.graph.initializer.add(name="huge", data_type=TensorProto.FLOAT, dims=[1 << 62, 1 << 62])
    tensor.raw_data = b"\0" * 4


def test_what_is_imported_and_not_used_harms_nobody() -> None:
    """ONNX Runtime's tools list every domain they know."""
    unused = helper.make_opsetid("ai.onnx.preview.training", 1)
    assert not check(edited(lambda model: model.opset_import.append(unused)), "detection", IMAGE)


@pytest.mark.parametrize("edit", [unknown_opset, unknown_operator, huge_tensor])
def test_what_no_box_could_load_is_refused_in_one_sentence(edit: Any) -> None:
    content = edited(edit)
    with pytest.raises(Rejected, match=r"^model.onnx ") as refused:
        OnnxInspector().inspect("model.onnx", lambda: [content], described(content))
    assert "\n" not in str(refused.value)


def test_the_harbour_release_passes() -> None:
    described_by = manifest.parse((HARBOUR / "manifest.json").read_bytes())
    assert described_by.input is not None
    assert not check((HARBOUR / "model.onnx").read_bytes(), described_by.task, vars(described_by.input))


@pytest.mark.parametrize("image", [{**IMAGE, "name": "picture"}, {**IMAGE, "height": 320}])
def test_a_model_that_takes_another_picture_than_the_manifest_says_is_refused(image: dict[str, Any]) -> None:
    (refusal,) = check(DETECTOR, "detection", image)
    assert "longshore package" in refusal.sentence("model.onnx")


def test_a_plain_tensor_model_passes_as_such_and_not_as_a_detector() -> None:
    content = models.sum_model().spec.model
    assert not check(content, "tensor", None)
    found = check(content, "detection", IMAGE)
    assert "must take one input 'image', not a, b" in found[0].detail


@pytest.mark.parametrize(
    "content", [b"", b"garbage", releases.content("noise", 100_000), DETECTOR[:-40], DETECTOR[:200]]
)
def test_garbage_and_truncated_files_are_refused_in_one_sentence(content: bytes) -> None:
    with pytest.raises(Rejected) as refused:
        OnnxInspector().inspect("model.onnx", lambda: [content], described(content))
    sentence = str(refused.value)
    assert sentence.startswith("model.onnx ")
    assert "\n" not in sentence
    assert "Traceback" not in sentence


def test_a_good_file_passes_the_process_that_looks() -> None:
    pieces = [DETECTOR[:100], DETECTOR[100:]]
    OnnxInspector().inspect("model.onnx", lambda: pieces, described(DETECTOR))


def field(number: int, payload: bytes) -> bytes:
    """One length-delimited protobuf field."""
    length, header = len(payload), bytearray([number << 3 | 2])
    while length > 0x7F:
        header.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*header, length]) + payload


def test_a_file_of_two_hundred_nested_graphs_is_refused() -> None:
    graph = b""
    for _ in range(200):
        graph = field(1, field(5, field(6, graph)))  # graph → node → attribute → graph
    content = field(7, graph)
    with pytest.raises(Rejected, match=r"model.onnx is no ONNX file.*rule not-onnx"):
        OnnxInspector().inspect("model.onnx", lambda: [content], described(content))


def test_a_file_that_hangs_the_parser_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen

    def sleeper(_: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return real([sys.executable, "-c", "import sys,time;sys.stdin.buffer.read();time.sleep(60)"], **options)

    monkeypatch.setattr(runner, "STATIC_SECONDS", 0.5)
    monkeypatch.setattr(subprocess, "Popen", sleeper)
    with pytest.raises(Rejected, match=r"read within bounds.*rule bounds"):
        OnnxInspector().inspect("model.onnx", lambda: [b"x"], described(b"x"))


@pytest.mark.parametrize(("size", "said"), [(1000, b"more memory"), (1 << 30, b'"refusals": []')])
def test_a_file_gets_memory_by_its_size_and_no_more(size: int, said: bytes) -> None:
    code = (
        "import controlplane.gate.static as child;"
        "child._used_once=lambda: None;"
        "child._judged=lambda *_: bytearray(1<<30) and ();"
        "child.main()"
    )
    question = f'{{"task":"tensor","input":null,"size":{size}}}\n'.encode()
    done = subprocess.run([sys.executable, "-c", code], input=question, capture_output=True, check=True)
    assert said in done.stdout


@pytest.mark.skipif(kernel.machine() is None or not landlock.version(), reason="this kernel lacks a layer")
def test_both_processes_of_the_gate_hold_every_layer(caplog: pytest.LogCaptureFixture) -> None:
    OnnxInspector().inspect("model.onnx", lambda: [DETECTOR], described(DETECTOR))
    assert "without" not in caplog.text


def test_the_process_that_looks_sees_none_of_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_DATABASE_URL", "postgresql://user:secret@host/name")
    assert "secret" not in str(lockdown.environment(os.environ, Path()))


@pytest.mark.parametrize(
    "attempt",
    ["open('/etc/hostname')", "open('x','w')", "socket.socket()", "os.execv('/bin/true',['true'])", "os.fork()"],
)
def test_a_process_of_the_gate_opens_connects_starts_nothing(tmp_path: Path, attempt: str) -> None:
    code = f"import os,socket;from controlplane.gate.lockdown import lock;lock(1<<30,5);{attempt};print('done')"
    command = [sys.executable, "-c", code]
    environment = lockdown.environment(os.environ, Path(__file__).parents[3])
    done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode != 0
    assert b"done" not in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_process_of_the_gate_that_computes_without_end_is_ended() -> None:
    code = "from controlplane.gate.lockdown import lock;lock(1<<30,1)\nwhile True: pass"
    environment = lockdown.environment(os.environ, Path(__file__).parents[3])
    done = subprocess.run([sys.executable, "-c", code], check=False, env=environment, timeout=50)
    assert done.returncode in (-signal.SIGXCPU, -signal.SIGKILL)


def test_every_task_has_its_outputs() -> None:
    assert set(agreement.OUTPUTS) == set(manifest.TASKS)


def test_an_outline_tells_what_a_graph_is_made_of() -> None:
    content = (HARBOUR / "model.onnx").read_bytes()
    found = OnnxInspector().outline("model.onnx", lambda: [content], len(content))
    assert found["inputs"] == [{"name": "image", "type": "uint8", "shape": ["N", "320", "320", "3"]}]
    assert [each["name"] for each in found["outputs"]] == ["boxes", "scores", "classes"]
    assert found["operators"]["Conv"] == 15
    assert found["nodes"] == sum(found["operators"].values())
    with pytest.raises(Rejected, match="no ONNX file"):
        OnnxInspector().outline("model.onnx", lambda: [content[:1000]], len(content))
