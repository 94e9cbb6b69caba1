"""CloudInference over Open Inference Protocol v2 gRPC: the only place that asks another machine for inference.

`grpc://` is for loopback; `grpcs://` is mutual TLS with the box's own certificate. The remaining time travels as the
`timeout` parameter (microseconds) and bounds the call here: box clocks are wrong, so no absolute time is sent. Model
and partition travel as metadata, so that a node with too much to do says so before it has read the picture.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import grpc
import grpc.aio

from agent.errors import TurnedAway
from agent.ports import CloudAnswer, CloudModel
from agent.supervise import cancelled
from agent.types import Box
from protos import inference_pb2, inference_pb2_grpc
from protos.errors import Rejected, Retryable
from protos.ids import node_host

_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 10_000),
]
_OURS = {  # the node's refusal, or our request's fault: asking again changes nothing
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
}


AGAIN_SECONDS = 1.0


@dataclass(frozen=True)
class ClientIdentity:
    """PEM bytes for mutual TLS."""

    ca: bytes
    certificate: bytes
    key: bytes


class GrpcCloud:
    """One cloud node. `identity` is read when the channel is made; make a new one after a renewal."""

    def __init__(self, node_id: str, url: str, identity: Callable[[], ClientIdentity]) -> None:
        self._node_id = node_id
        self._channel = _channel(node_id, url, identity)
        self._stub = inference_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    @property
    def node_id(self) -> str:
        return self._node_id

    async def detect_jpeg(
        self, model: CloudModel, jpeg: bytes, min_score: float, timeout: float, partition: str = "live"
    ) -> CloudAnswer:
        """See the port."""
        request = _request(model, jpeg, min_score, timeout)
        told = (("x-model", model.name), ("x-model-version", model.version), ("x-partition", partition))
        try:
            call = self._stub.ModelInfer(request, timeout=timeout, metadata=told)
            response, spent = await call, await call.trailing_metadata()
        except grpc.aio.AioRpcError as error:
            raise _translated(self._node_id, error) from error
        except (asyncio.CancelledError, grpc.aio.UsageError):  # closed during the call, or before it
            if cancelled():
                raise
            raise Retryable(f"the connection to cloud node {self._node_id} was closed") from None
        boxes = boxes_of(response, model.labels, min_score)
        return CloudAnswer(boxes, sum(_number(spent, name) for name in ("x-wait-us", "x-service-us")) / 1e6)

    async def close(self) -> None:
        await self._channel.close(0.5)


def boxes_of(
    response: inference_pb2.ModelInferResponse, labels: tuple[str, ...], min_score: float = 0.0
) -> tuple[Box, ...]:
    """The boxes of at least `min_score` in a detection answer: boxes FP32 [1,K,4], scores FP32 [1,K], classes INT64.


    Raises:
        Rejected: the answer is not of that form.
    """
    raw = {out.name: data for out, data in zip(response.outputs, response.raw_output_contents, strict=False)}
    try:
        scores = struct.unpack(f"<{len(raw['scores']) // 4}f", raw["scores"])
        classes = struct.unpack(f"<{len(scores)}q", raw["classes"])
        corners = list(struct.iter_unpack("<4f", raw["boxes"]))
    except (KeyError, struct.error) as error:
        raise Rejected("the cloud node's answer is no detection; check that it serves the same release") from error
    return tuple(
        Box(x0, y0, x1, y1, score, _label(labels, number))
        for (x0, y0, x1, y1), score, number in zip(corners, scores, classes, strict=False)
        if score >= min_score
    )


def _label(labels: tuple[str, ...], number: int) -> str:
    return labels[number] if 0 <= number < len(labels) else str(number)


def _request(model: CloudModel, jpeg: bytes, min_score: float, timeout: float) -> inference_pb2.ModelInferRequest:
    request = inference_pb2.ModelInferRequest(model_name=model.name, model_version=model.version)
    tensor = request.inputs.add(name="image", datatype="BYTES")
    tensor.shape.append(1)
    request.raw_input_contents.append(len(jpeg).to_bytes(4, "little") + jpeg)
    request.parameters["timeout"].int64_param = max(1, int(timeout * 1e6))
    request.parameters["min_score"].double_param = min_score
    return request


def _channel(node_id: str, url: str, identity: Callable[[], ClientIdentity]) -> grpc.aio.Channel:
    scheme, _, address = url.partition("://")
    if scheme == "grpc":
        return grpc.aio.insecure_channel(address, options=_OPTIONS)
    if scheme != "grpcs":
        raise Rejected(f"cloud node address {url!r} must start with grpc:// or grpcs://")
    own = identity()
    credentials = grpc.ssl_channel_credentials(own.ca, own.key, own.certificate)
    # A node's certificate names the node, wherever it is reached.
    named = [*_OPTIONS, ("grpc.ssl_target_name_override", node_host(node_id))]
    return grpc.aio.secure_channel(address, credentials, options=named)


def _translated(node_id: str, error: grpc.aio.AioRpcError) -> Rejected | Retryable:
    code = error.code()
    if code in _OURS:
        return Rejected(f"cloud node {node_id} refuses: {error.details()}")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return _turned_away(node_id, error)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Retryable(f"cloud node {node_id} did not answer in time")
    return Retryable(f"cloud node {node_id} is away ({code.name.lower()})")


def _turned_away(node_id: str, error: grpc.aio.AioRpcError) -> TurnedAway:
    """A node that tells no time is asked again in a second."""
    told = error.trailing_metadata() or ()
    after = _number(told, "grpc-retry-pushback-ms") / 1e3 or AGAIN_SECONDS
    wait = _number(told, "x-expected-wait-ms") / 1e3
    return TurnedAway(f"cloud node {node_id} has too much to do: {error.details()}", wait or after, after)


def _number(metadata: Iterable[tuple[str, str | bytes]] | None, name: str) -> float:
    """What a node says is the node's: 0 for what is no whole number."""
    value = next((value for key, value in metadata or () if key == name), "")
    return float(value) if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 12 else 0.0
