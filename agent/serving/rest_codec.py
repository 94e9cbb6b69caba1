"""Bodies of the REST transport ↔ the data plane's values; pure. The binary tensor extension included.

A body is a JSON object, then, with `Inference-Header-Content-Length`, the raw bytes of the inputs that declare a
`binary_data_size`, in their order. Answers are made the same way round. The JSON part is bounded: it is parsed on the
agent's event loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from agent.ports import Tensor
from agent.serving import json_tensors, parameters
from agent.serving.dataplane import InferRequest, InferResult, ModelMetadata, ServerMetadata
from agent.serving.errors import BadRequest, TooLarge
from agent.serving.shared_memory import RegionPart

MAX_JSON = 2 << 20  # bytes, 60 ms of parsing at the worst; a picture of 320x320 as numbers fits
_SHORT = 1024  # bytes of JSON that are remembered
HEADER_LENGTH = "inference-header-content-length"


class InputJson(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: msgspec.Raw = msgspec.Raw()


class OutputJson(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class RequestJson(msgspec.Struct):
    inputs: list[InputJson]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[OutputJson] | None = None


class TensorJson(msgspec.Struct, omit_defaults=True):
    name: str
    datatype: str
    shape: Sequence[int]
    parameters: dict[str, Any] = {}
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET


class ResponseJson(msgspec.Struct, omit_defaults=True):
    model_name: str
    model_version: str
    outputs: list[TensorJson]
    id: str = ""

    # `outputs` has no default, so that an empty list is still written.


@dataclass(frozen=True)
class Wanted:
    """Which outputs travel binary: those named, or all by default."""

    by_default: bool
    named: dict[str, bool]

    def __call__(self, name: str) -> bool:
        return self.named.get(name, self.by_default)


@dataclass(frozen=True)
class Told:
    """What the JSON part of a request says. It may be that of others, too: nothing in it is to be changed."""

    inputs: Sequence[InputJson]
    outputs: Sequence[str] | None
    id: str
    policy: parameters.Policy
    wanted: Wanted
    into: Mapping[str, RegionPart]


_decoder = msgspec.json.Decoder(RequestJson)
_NOTHING: bytes | memoryview = b""


def infer_request(
    model: str, version: str | None, body: memoryview, header_length: str | None
) -> tuple[InferRequest, Wanted]:
    """The request in a body. Raises BadRequest, TooLarge."""
    header, binary = _split(body, header_length)
    told = _told_before(bytes(header)) if len(header) <= _SHORT else _told(header)
    inputs, shared = _inputs(told.inputs, binary)
    policy = told.policy
    request = InferRequest(
        model=model,
        version=version,
        inputs=inputs,
        outputs=told.outputs,
        id=told.id,
        timeout=policy.timeout,
        min_score=policy.min_score,
        priority=policy.priority,
        deadline_unix_ns=policy.deadline_unix_ns,
        partition=policy.partition,
        shared=shared,
        into=told.into,
    )
    return request, told.wanted


def infer_response(result: InferResult, binary: Wanted) -> tuple[bytes, list[bytes | memoryview]]:
    """The JSON part and the binary outputs that follow it."""
    outputs, raw = [], []
    for tensor in result.outputs:
        described = TensorJson(tensor.name, tensor.datatype, tensor.shape)
        if tensor.place is not None:
            part = result.into[tensor.name]
            described.parameters = parameters.of_region(part.region, part.offset, tensor.nbytes)
        elif binary(tensor.name):
            described.parameters = {"binary_data_size": len(tensor.data)}
            raw.append(tensor.data)
        else:
            described.data = json_tensors.from_bytes(tensor)
        outputs.append(described)
    return msgspec.json.encode(ResponseJson(result.model, result.version, outputs, result.id)), raw


def server_metadata(metadata: ServerMetadata) -> bytes:
    return msgspec.json.encode(metadata)


def model_metadata(metadata: ModelMetadata) -> bytes:
    return msgspec.json.encode(metadata)


def readiness(model: str, *, ready: bool) -> bytes:
    """Of a model, or with "" of the node."""
    return msgspec.json.encode({"name": model, "ready": ready} if model else {"ready": ready})


def error(message: str) -> bytes:
    return msgspec.json.encode({"error": message})


def _split(body: memoryview, header_length: str | None) -> tuple[memoryview, memoryview]:
    if header_length is None:
        header, binary = body, body[len(body) :]
    elif (
        len(header_length) <= 10
        and header_length.isdecimal()
        and header_length.isascii()
        and int(header_length) <= len(body)
    ):
        header, binary = body[: int(header_length)], body[int(header_length) :]
    else:
        raise BadRequest("Inference-Header-Content-Length must be the length of the JSON part of the body")
    if len(header) > MAX_JSON:
        raise TooLarge(f"{len(header)} bytes of JSON are more than the {MAX_JSON} taken; send tensors binary")
    return header, binary


def _told(header: memoryview | bytes) -> Told:
    document = _document(header)
    wanted, into = _wanted(document)
    policy = parameters.policy(document.parameters)
    outputs = [output.name for output in document.outputs] if document.outputs else None
    return Told(document.inputs, outputs, document.id, policy, wanted, into)


_told_before = lru_cache(maxsize=64)(_told)  # with binary tensors callers send the same JSON again and again


def _document(header: memoryview | bytes) -> RequestJson:
    try:
        return _decoder.decode(header)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is no inference request: {str(error).splitlines()[0][:200]}") from error


def _inputs(described: Sequence[InputJson], binary: memoryview) -> tuple[list[Tensor], dict[str, RegionPart]]:
    """The tensors, and which of them lie in shared memory."""
    tensors, shared, at = [], {}, 0
    for item in described:
        size = item.parameters.get("binary_data_size")
        part = parameters.region_part(item.name, item.parameters) if item.parameters else None
        if part is not None:
            _check_no_data(item)
            shared[item.name], data = part, _NOTHING
        elif size is not None:
            data = _binary(item.name, size, binary, at)
            at += len(data)
        else:
            data = json_tensors.to_bytes(item.name, item.datatype, item.data)
        tensors.append(Tensor(item.name, item.datatype, tuple(item.shape), data))
    if at != len(binary):
        raise BadRequest(f"{len(binary) - at} bytes follow the last tensor; check every binary_data_size")
    return tensors, shared


def _check_no_data(item: InputJson) -> None:
    if bytes(item.data) or "binary_data_size" in item.parameters:
        raise BadRequest(f"input {item.name!r}: data came beside its place in shared memory; send one of them")


def _binary(name: str, size: object, binary: memoryview, at: int) -> memoryview:
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(binary) - at:
        raise BadRequest(f"input {name!r}: its binary_data_size of {size!r} is not in the body")
    return binary[at : at + size]


def _wanted(document: RequestJson) -> tuple[Wanted, dict[str, RegionPart]]:
    """How outputs travel, and which go into shared memory."""
    named, into = {}, {}
    for output in document.outputs or ():
        if not output.parameters:
            continue
        part = parameters.region_part(output.name, output.parameters)
        if part is not None:
            into[output.name] = part
        if "binary_data" in output.parameters:
            named[output.name] = bool(output.parameters["binary_data"])
    return Wanted(bool(document.parameters.get("binary_data_output", False)), named), into
