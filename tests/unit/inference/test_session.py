"""Loading a model: what is refused, what the signature says. In this process, for the runtime is only a library."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from agent.inference import contract, session, warming
from agent.inference.datatypes import FIXED
from agent.inference.errors import BadInput, BadModel
from agent.inference.session import Session
from agent.ports import ModelSignature, TensorSpec
from agent.types import ModelInput
from protos.errors import Fatal, Retryable
from tests.sim.models import detector, menagerie, model_bytes, picky, sum_model

SUM = sum_model().spec.model
DETECTOR = detector().spec.model
DAMAGED = {
    "nothing": b"",
    "text": b"this is no model",
    "zeros": bytes(1000),
    "noise": np.random.default_rng(0).bytes(5000),
    "without its end": SUM[:-1],
    "a changed operator": SUM.replace(b"Add", b"Axx"),
    "a changed edge": SUM.replace(b"total", b"totul", 1),
    "something after its end": DETECTOR + b"\x08",
    **{f"cut at {cut}": DETECTOR[:cut] for cut in range(0, len(DETECTOR), 29)},
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_model_is_refused_in_one_sentence(content: bytes) -> None:
    with pytest.raises(BadModel) as caught:
        Session(content)
    assert "\n" not in str(caught.value)
    assert "onnxruntime_src" not in str(caught.value)


def test_names_in_a_model_reach_no_terminal_as_they_are() -> None:
    with pytest.raises(BadModel) as caught:
        Session(SUM.replace(b"Add", b"\x1b[m"))
    assert "[m" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_flipped_bytes_are_refused_or_load_but_never_escape_as_something_else() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        content = bytearray(DETECTOR)
        for at in rng.integers(0, len(content), 3):
            content[at] = int(rng.integers(0, 256))
        try:
            loaded = Session(bytes(content))
            loaded.run(warming.zeros(loaded.signature))
        except (BadModel, BadInput):
            continue


@pytest.mark.parametrize("sample", [sum_model(), detector(), menagerie()])
def test_the_signature_names_every_tensor_with_its_datatype_and_free_dimensions(sample: object) -> None:
    from tests.sim.models import Sample

    assert isinstance(sample, Sample)
    assert Session(sample.spec.model).signature == sample.signature


def test_an_input_the_graph_fails_on_names_the_operator() -> None:
    with pytest.raises(BadInput, match="Reshape"):
        Session(picky().spec.model).run({"x": np.zeros(5, dtype=np.float32)})


def test_tensors_the_protocol_cannot_carry_are_refused() -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [value("x", TensorProto.BFLOAT16, [1])],
        [value("y", TensorProto.BFLOAT16, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert isinstance(model, onnx.ModelProto)
    with pytest.raises(BadModel, match="bfloat16"):
        Session(model.SerializeToString())


def test_a_provider_this_box_cannot_have_is_for_a_person_to_mend() -> None:
    with pytest.raises(Fatal, match="must be one of"):
        Session(SUM, provider="tpu")
    with pytest.raises(Fatal, match="install onnxruntime-gpu"):
        Session(SUM, provider="cuda")


def test_a_gpu_that_does_not_start_may_start_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the GPU's runtime on a box without its driver: the session quietly runs on the CPU."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: session.PROVIDERS["cuda"])
    with pytest.raises(Retryable, match=r"does not start on this box .*GPU driver"):
        Session(SUM, provider="cuda")


def test_what_the_gpu_misses_is_in_the_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: session.PROVIDERS["cuda"])
    monkeypatch.setattr(ort, "preload_dlls", lambda: print("Failed to load libcublas.so.13: not there\nSee the web"))
    with pytest.raises(Retryable, match=r"libcublas\.so\.13: not there"):
        Session(SUM, provider="cuda")
    assert capsys.readouterr().out == ""


def test_a_model_that_gets_no_memory_is_not_at_fault() -> None:
    """4 TiB, asked for when it runs."""
    signature = ModelSignature((TensorSpec("x", "INT64", (1,)),), (TensorSpec("y", "FP32", (-1,)),))
    loaded = Session(model_bytes([helper.make_node("ConstantOfShape", ["x"], ["y"])], signature))
    with pytest.raises(Retryable, match="not enough memory"):
        loaded.run({"x": np.array([1 << 40])})


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("CUDA failure 100: no CUDA-capable device is detected ; GPU=0 ; hostname=box ; file=a.cc", "no CUDA-capable"),
        ("CUDNN failure 4: CUDNN_STATUS_INTERNAL_ERROR ; GPU=0", "CUDNN_STATUS_INTERNAL_ERROR"),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0", "ALLOC_FAILED"),
        ("Please install TensorRT libraries as mentioned in the GPU requirements page", "TensorRT libraries"),
        ("Exception during initialization: std::bad_alloc", "not enough memory"),
        ("Available memory of 1024 is smaller than requested bytes of 4096", "not enough memory"),
    ],
)
def test_what_the_runtime_says_of_the_box_is_no_fault_of_the_model(
    monkeypatch: pytest.MonkeyPatch, said: str, words: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(ort, "InferenceSession", fail)
    with pytest.raises(Retryable, match=words):
        Session(SUM)


def test_the_cpu_is_always_there() -> None:
    assert "cpu" in session.providers()


DETECTION = detector().signature


def replaced(signature: ModelSignature, spec: TensorSpec) -> ModelSignature:
    return ModelSignature(
        tuple(spec if spec.name == old.name else old for old in signature.inputs),
        tuple(spec if spec.name == old.name else old for old in signature.outputs),
    )


@pytest.mark.parametrize(
    ("task", "model_input", "signature"),
    [
        ("detection", ModelInput(32, 64), sum_model().signature),
        ("detection", None, sum_model().signature),
        ("classification", None, sum_model().signature),
        ("tensor", ModelInput(32, 64), sum_model().signature),
        ("detection", ModelInput(64, 64), DETECTION),
        ("detection", ModelInput(32, 64), replaced(DETECTION, TensorSpec("boxes", "FP64", (-1, 4, 4)))),
        ("detection", ModelInput(32, 64), replaced(DETECTION, TensorSpec("scores", "FP32", (-1, 4, 1)))),
        ("detection", ModelInput(32, 64), replaced(DETECTION, TensorSpec("image", "FP32", (-1, 32, 64, 3)))),
        ("detection", ModelInput(32, 64), replaced(DETECTION, TensorSpec("image", "UINT8", (8, 32, 64, 3)))),
        ("detection", ModelInput(32, 64), replaced(DETECTION, TensorSpec("image", "UINT8", (-1, 3, 32, 64)))),
    ],
)
def test_a_graph_that_breaks_its_contract_is_refused(
    task: str, model_input: ModelInput | None, signature: ModelSignature
) -> None:
    with pytest.raises(BadModel):
        contract.check(signature, task, model_input)


def test_a_graph_that_keeps_its_contract_passes() -> None:
    contract.check(DETECTION, "detection", ModelInput(32, 64))
    contract.check(replaced(DETECTION, TensorSpec("image", "UINT8", (1, -1, -1, 3))), "detection", ModelInput(32, 64))
    contract.check(sum_model().signature, "tensor", None)
    assert set(FIXED) >= {"UINT8", "FP32", "INT64"}
