"""The models of the serving benchmark cost what the well-known ones cost, and requests for them are read as meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.serving import convert, rest_codec
from bench.serving import workloads
from bench.serving.graphs import Graph, mobilenet, resnet50, tiny
from bench.serving.wire import ENCODINGS, FRAME, HEADER_LENGTH, framed
from bench.serving.workloads import WORKLOADS, Array
from protos import inference_pb2 as pb

WORKLOAD = WORKLOADS["tiny"]
ANSWER = WORKLOAD.input() * 2


@pytest.mark.parametrize(
    ("build", "parameters", "macs"), [(mobilenet, 3.50e6, 0.301e9), (resnet50, 25.6e6, 4.09e9), (tiny, 0, 0)]
)
def test_a_graph_has_the_parameters_and_the_arithmetic_of_its_model(
    build: Callable[[], Graph], parameters: int, macs: int
) -> None:
    graph = build()
    assert graph.parameters == pytest.approx(parameters, rel=0.01)
    assert graph.macs == pytest.approx(macs, rel=0.02)
    assert len(graph.model) == pytest.approx(4 * graph.parameters, rel=0.05, abs=200)


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_onnx_runtime_gives_an_answer_of_the_promised_shape(workload: workloads.Workload, tmp_path: Path) -> None:
    workloads.write(tmp_path, [workload])
    found = workloads.answer(tmp_path, workload)
    assert workloads.names(tmp_path) == [workload.name]
    assert found.shape == workload.output_shape
    assert np.isfinite(found).all()
    assert found.std() > 0.01
    assert not workloads.same(found + found.std(), found)


def test_a_picture_is_602_kb() -> None:
    assert {WORKLOADS[name].input().nbytes for name in ("mobilenet", "resnet50")} == {602_112}


@pytest.mark.parametrize("encoding", ["binary", "json"])
def test_the_agent_reads_a_request_over_http_as_it_was_meant(encoding: str) -> None:
    call = ENCODINGS[encoding].ask(WORKLOAD)
    request, binary = rest_codec.infer_request("tiny", None, memoryview(call.body), call.headers.get(HEADER_LENGTH))
    assert call.path == "/v2/models/tiny/infer"
    assert (request.inputs[0].name, request.inputs[0].shape) == ("x", (1, 16))
    assert bytes(request.inputs[0].data) == WORKLOAD.input().tobytes()
    assert binary("y") == (encoding == "binary")


def test_the_agent_reads_a_grpc_request_as_it_was_meant() -> None:
    call = ENCODINGS["grpc"].ask(WORKLOAD)
    assert FRAME.unpack(call.body[: FRAME.size]) == (0, len(call.body) - FRAME.size)
    request = convert.infer_request(pb.ModelInferRequest.FromString(call.body[FRAME.size :]), None)
    assert (request.model, request.inputs[0].shape) == ("tiny", (1, 16))
    assert bytes(request.inputs[0].data) == WORKLOAD.input().tobytes()


def test_a_request_with_a_region_carries_no_tensor() -> None:
    call = ENCODINGS["region"].ask(WORKLOAD)
    assert int(call.headers[HEADER_LENGTH]) == len(call.body)
    assert b'"shared_memory_region": "longshore-bench-tiny"' in call.body


def grpc_answer(*, raw: bool) -> bytes:
    """Servers may answer typed, though they were asked raw."""
    message = pb.ModelInferResponse()
    output = message.outputs.add(name="y", datatype="FP32", shape=ANSWER.shape)
    if raw:
        message.raw_output_contents.append(ANSWER.tobytes())
    else:
        output.contents.fp32_contents.extend(ANSWER.ravel().tolist())
    return framed(message.SerializeToString())


DOCUMENT = b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 16], "parameters": {"binary_data_size": 64}}]}'
TEXT = b'{"outputs": [{"name": "y", "shape": [1, 16], "data": ' + str(ANSWER.ravel().tolist()).encode() + b"}]}"


@pytest.mark.parametrize(
    ("encoding", "body", "headers"),
    [
        ("binary", DOCUMENT + ANSWER.tobytes(), {HEADER_LENGTH: str(len(DOCUMENT))}),
        ("json", TEXT, {}),
        ("raw", ANSWER.tobytes(), {}),
        ("grpc", grpc_answer(raw=True), {}),
        ("grpc", grpc_answer(raw=False), {}),
    ],
)
def test_an_answer_is_read_back_whatever_way_it_came(encoding: str, body: bytes, headers: dict[str, str]) -> None:
    found: Array = ENCODINGS[encoding].read(WORKLOAD, body, headers)
    assert workloads.same(found, ANSWER)
