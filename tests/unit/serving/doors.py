"""Both transports behind one face, so that what holds for an extension is tested once for each of them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio
import httpx
from google.protobuf.json_format import MessageToDict

from agent.ports import Tensor
from protos import inference_pb2 as pb
from protos.inference_pb2_grpc import GRPCInferenceServiceStub

Json = dict[str, Any]
R = TypeVar("R")
CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.INTERNAL: 500,
}


class Refused(Exception):
    """The node's answer is an error: `status` as REST has it, and the sentence."""

    def __init__(self, status: int, sentence: str, after: float | None = None) -> None:
        super().__init__(f"{status}: {sentence}")
        self.status = status
        self.after = after  # seconds to wait before the next try


@dataclass
class Asked:
    """An inference: parameters of the request, and by name those of tensors."""

    inputs: list[Tensor]
    outputs: list[str] = field(default_factory=list)
    parameters: Json = field(default_factory=dict)
    of: Mapping[str, Json] = field(default_factory=dict)


class Door(Protocol):
    """One transport. All raise Refused."""

    async def metadata(self) -> Json: ...
    async def statistics(self, model: str = "", version: str = "") -> list[Json]: ...
    async def index(self, *, ready: bool = False) -> list[Json]: ...
    async def load(self, model: str, config: str = "") -> None: ...
    async def unload(self, model: str) -> None: ...
    async def register(self, name: str, key: str, byte_size: int, offset: int = 0) -> None: ...
    async def unregister(self, name: str = "") -> None: ...
    async def regions(self, name: str = "") -> list[Json]: ...
    async def infer(self, model: str, asked: Asked) -> dict[str, bytes | Json]:
        """Outputs by name: their bytes, or where they were written."""
        ...


@dataclass
class RestDoor:
    client: httpx.AsyncClient

    async def metadata(self) -> Json:
        return dict(await self._ask("GET", "/v2"))

    async def statistics(self, model: str = "", version: str = "") -> list[Json]:
        path = "".join((f"/{model}" if model else "", f"/versions/{version}" if version else ""))
        return list((await self._ask("GET", f"/v2/models{path}/stats"))["model_stats"])

    async def index(self, *, ready: bool = False) -> list[Json]:
        return list(await self._ask("POST", "/v2/repository/index", {"ready": ready} if ready else None))

    async def load(self, model: str, config: str = "") -> None:
        body = {"parameters": {"config": config}} if config else {}
        await self._ask("POST", f"/v2/repository/models/{model}/load", body)

    async def unload(self, model: str) -> None:
        body = {"parameters": {"unload_dependents": False}}
        await self._ask("POST", f"/v2/repository/models/{model}/unload", body)

    async def register(self, name: str, key: str, byte_size: int, offset: int = 0) -> None:
        body = {"key": key, "offset": offset, "byte_size": byte_size}
        await self._ask("POST", f"/v2/systemsharedmemory/region/{name}/register", body)

    async def unregister(self, name: str = "") -> None:
        await self._ask("POST", f"/v2/systemsharedmemory{f'/region/{name}' if name else ''}/unregister")

    async def regions(self, name: str = "") -> list[Json]:
        return list(await self._ask("GET", f"/v2/systemsharedmemory{f'/region/{name}' if name else ''}/status"))

    async def infer(self, model: str, asked: Asked) -> dict[str, bytes | Json]:
        inputs, raw = [], b""
        for tensor in asked.inputs:
            parameters = dict(asked.of.get(tensor.name, {}))
            if tensor.data or not parameters:
                parameters["binary_data_size"] = len(tensor.data)
            raw += bytes(tensor.data)
            inputs.append(
                {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape, "parameters": parameters}
            )
        outputs = [{"name": name, "parameters": asked.of.get(name, {})} for name in asked.outputs]
        document = {"inputs": inputs, "parameters": {"binary_data_output": True, **asked.parameters}}
        header = json.dumps({**document, "outputs": outputs} if outputs else document).encode()
        headers = {"Inference-Header-Content-Length": str(len(header))}
        response = await self.client.post(f"/v2/models/{model}/infer", content=header + raw, headers=headers)
        _raise_refusal(response)
        return _rest_outputs(response)

    async def _ask(self, method: str, path: str, body: Json | None = None) -> Any:
        response = await self.client.request(method, path, content=b"" if body is None else json.dumps(body).encode())
        _raise_refusal(response)
        return response.json() if response.content else None


def _raise_refusal(response: httpx.Response) -> None:
    if response.status_code != 200:
        after = response.headers.get("Retry-After")
        raise Refused(response.status_code, response.json()["error"], float(after) if after else None)


def _rest_outputs(response: httpx.Response) -> dict[str, bytes | Json]:
    length = int(response.headers.get("Inference-Header-Content-Length", len(response.content)))
    found: dict[str, bytes | Json] = {}
    for output in json.loads(response.content[:length])["outputs"]:
        parameters = output["parameters"]
        size = parameters.get("binary_data_size")
        found[output["name"]] = parameters if size is None else response.content[length : length + size]
        length += size or 0
    return found


@dataclass
class GrpcDoor:
    stub: GRPCInferenceServiceStub

    async def metadata(self) -> Json:
        return _dict(await _told(self.stub.ServerMetadata(pb.ServerMetadataRequest())))

    async def statistics(self, model: str = "", version: str = "") -> list[Json]:
        answer = await _told(self.stub.ModelStatistics(pb.ModelStatisticsRequest(name=model, version=version)))
        return [_dict(each) for each in answer.model_stats]

    async def index(self, *, ready: bool = False) -> list[Json]:
        answer = await _told(self.stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=ready)))
        return [_dict(each) for each in answer.models]

    async def load(self, model: str, config: str = "") -> None:
        request = pb.RepositoryModelLoadRequest(model_name=model)
        if config:
            request.parameters["config"].string_param = config
        await _told(self.stub.RepositoryModelLoad(request))

    async def unload(self, model: str) -> None:
        await _told(self.stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name=model)))

    async def register(self, name: str, key: str, byte_size: int, offset: int = 0) -> None:
        request = pb.SystemSharedMemoryRegisterRequest(name=name, key=key, byte_size=byte_size, offset=offset)
        await _told(self.stub.SystemSharedMemoryRegister(request))

    async def unregister(self, name: str = "") -> None:
        await _told(self.stub.SystemSharedMemoryUnregister(pb.SystemSharedMemoryUnregisterRequest(name=name)))

    async def regions(self, name: str = "") -> list[Json]:
        answer = await _told(self.stub.SystemSharedMemoryStatus(pb.SystemSharedMemoryStatusRequest(name=name)))
        return [_dict(each) for each in answer.regions.values()]

    async def infer(self, model: str, asked: Asked) -> dict[str, bytes | Json]:
        request = pb.ModelInferRequest(model_name=model)
        for name, value in asked.parameters.items():
            _set(request.parameters[name], value)
        for tensor in asked.inputs:
            item = request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            for name, value in asked.of.get(tensor.name, {}).items():
                _set(item.parameters[name], value)
            if tensor.data or not item.parameters:
                request.raw_input_contents.append(bytes(tensor.data))
        for name in asked.outputs:
            output = request.outputs.add(name=name)
            for parameter, value in asked.of.get(name, {}).items():
                _set(output.parameters[parameter], value)
        answer = await _told(self.stub.ModelInfer(request))
        return {
            out.name: {name: _get(value) for name, value in out.parameters.items()} if out.parameters else raw
            for out, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
        }


def _set(parameter: pb.InferParameter, value: Any) -> None:
    kind = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}[type(value)]
    setattr(parameter, kind, value)


def _get(parameter: pb.InferParameter) -> Any:
    return getattr(parameter, parameter.WhichOneof("parameter_choice") or "")


def _dict(message: Any) -> Json:
    found = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return dict(_numbers(found))


def _numbers(value: Any) -> Any:
    """Protobuf's JSON has 64-bit numbers as text."""
    if isinstance(value, dict):
        return {name: item if name in ("name", "version", "key") else _numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return int(value) if isinstance(value, str) and value.isdecimal() else value


async def _told(call: Awaitable[R]) -> R:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        trailing = dict(error.trailing_metadata() or ())
        after = trailing.get("grpc-retry-pushback-ms")
        raise Refused(CODES[error.code()], error.details() or "", int(after) / 1000 if after else None) from error
