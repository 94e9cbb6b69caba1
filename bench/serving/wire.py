"""Requests and answers as bytes, one way each: what the load generator posts, and what came back; pure.

binary   the Open Inference Protocol over HTTP with the binary tensor extension
region   the same, with the input in a shared-memory region that the server was told of before
json     the same protocol with numbers as text, for a server that takes no binary tensors over HTTP
raw      a body of bytes, as servers do that people write themselves
grpc     the protocol's gRPC form with raw contents, framed as one message
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bench.serving.workloads import INPUT, OUTPUT, Array, Workload
from protos import inference_pb2 as pb

METHOD = "/inference.GRPCInferenceService/ModelInfer"
HEADER_LENGTH = "inference-header-content-length"
FRAME = struct.Struct(">BI")  # compressed?, length


@dataclass(frozen=True)
class Call:
    """A POST."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Encoding:
    """`read` takes the body and the lower-case headers of an answer; it raises ValueError for what is none."""

    word: str  # for people
    ask: Callable[[Workload], Call]
    read: Callable[[Workload, bytes, Mapping[str, str]], Array]

    @property
    def http2(self) -> bool:
        return self.ask is grpc_call


def region_name(workload: Workload) -> str:
    """Of the region that holds a workload's input."""
    return f"longshore-bench-{workload.name}"


def binary_call(workload: Workload) -> Call:
    data = workload.input().tobytes()
    return _infer(workload, {"binary_data_size": len(data)}, data)


def region_call(workload: Workload) -> Call:
    size = workload.input().nbytes
    return _infer(workload, {"shared_memory_region": region_name(workload), "shared_memory_byte_size": size}, b"")


def _infer(workload: Workload, parameters: Mapping[str, object], data: bytes) -> Call:
    described = {"name": INPUT, "shape": workload.shape, "datatype": "FP32", "parameters": parameters}
    outputs = [{"name": OUTPUT, "parameters": {"binary_data": True}}]
    document = json.dumps({"inputs": [described], "outputs": outputs}).encode()
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(document))}
    return Call(f"/v2/models/{workload.name}/infer", headers, document + data)


def binary_answer(workload: Workload, body: bytes, headers: Mapping[str, str]) -> Array:  # noqa: ARG001
    length = int(headers.get(HEADER_LENGTH, len(body)))
    (output,) = json.loads(body[:length])["outputs"]
    return _floats(body[length:], output["shape"])


def json_call(workload: Workload) -> Call:
    data = workload.input().ravel().tolist()
    document = {"inputs": [{"name": INPUT, "shape": workload.shape, "datatype": "FP32", "data": data}]}
    headers = {"content-type": "application/json"}
    return Call(f"/v2/models/{workload.name}/infer", headers, json.dumps(document).encode())


def json_answer(workload: Workload, body: bytes, headers: Mapping[str, str]) -> Array:  # noqa: ARG001
    (output,) = json.loads(body)["outputs"]
    return np.array(output["data"], np.float32).reshape(output["shape"])


def raw_call(workload: Workload) -> Call:
    headers = {"content-type": "application/octet-stream"}
    return Call(f"/infer/{workload.name}", headers, workload.input().tobytes())


def raw_answer(workload: Workload, body: bytes, headers: Mapping[str, str]) -> Array:  # noqa: ARG001
    return _floats(body, workload.output_shape)


def grpc_call(workload: Workload) -> Call:
    message = pb.ModelInferRequest(model_name=workload.name)
    message.inputs.add(name=INPUT, datatype="FP32", shape=workload.shape)
    message.raw_input_contents.append(workload.input().tobytes())
    headers = {"content-type": "application/grpc", "te": "trailers"}
    return Call(METHOD, headers, framed(message.SerializeToString()))


def grpc_answer(workload: Workload, body: bytes, headers: Mapping[str, str]) -> Array:  # noqa: ARG001
    """Servers may answer typed although they were asked raw."""
    message = pb.ModelInferResponse.FromString(body[FRAME.size :])
    (output,) = message.outputs
    if message.raw_output_contents:
        return _floats(message.raw_output_contents[0], output.shape)
    return np.array(output.contents.fp32_contents, np.float32).reshape(output.shape)


def framed(message: bytes) -> bytes:
    """One uncompressed message of a gRPC stream."""
    return FRAME.pack(0, len(message)) + message


def _floats(data: bytes, shape: Iterable[int]) -> Array:
    return np.frombuffer(data, "<f4").reshape(tuple(shape))


ENCODINGS = {
    "binary": Encoding("HTTP binary", binary_call, binary_answer),
    "region": Encoding("HTTP, shared memory", region_call, binary_answer),
    "json": Encoding("HTTP JSON", json_call, json_answer),
    "raw": Encoding("HTTP raw bytes", raw_call, raw_answer),
    "grpc": Encoding("gRPC", grpc_call, grpc_answer),
}
