"""One call as the load generator makes it, and whether its answer is right."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc

from bench.serving.load import Target
from bench.serving.wire import FRAME, Call, Encoding, framed
from bench.serving.workloads import Array, Workload, same
from protos.errors import Rejected, Retryable

SECONDS = 30.0


@dataclass(frozen=True)
class Question:
    """Over HTTP/1.1."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """`headers` by lower-case name."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def checked(target: Target, encoding: Encoding, workload: Workload, expected: Array, ca: str = "") -> int:
    """Bytes of the right answer. Raises Retryable (no answer now), Rejected (another one), OSError, ValueError."""
    call = encoding.ask(workload)
    question = Question("POST", call.path, call.body, call.headers)
    answer = _grpc(target, call, ca) if encoding.http2 else exchange(target, question, ca)
    if not same(encoding.read(workload, answer.body, answer.headers), expected):
        raise Rejected(f"its answer to {workload.name} over {encoding.word} is not that of ONNX Runtime")
    return len(answer.body)


def exchange(target: Target, question: Question, ca: str = "") -> Answer:
    """Raises Retryable (any answer but 200), OSError."""
    connection = _connection(target, ca)
    try:
        headers = {**question.headers, **_authorization(target)}
        connection.request(question.method, question.path, question.body, headers)
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as error:
        raise Retryable(f"no HTTP answer: {error!r}") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise Retryable(f"HTTP {response.status}: {body[:200].decode(errors='replace')}")
    return Answer(body, {name.lower(): value for name, value in response.getheaders()})


def _connection(target: Target, ca: str) -> http.client.HTTPConnection:
    if not target.tls:
        return http.client.HTTPConnection("127.0.0.1", target.port, timeout=SECONDS)
    return http.client.HTTPSConnection("127.0.0.1", target.port, timeout=SECONDS, context=_trusting(ca))


def _grpc(target: Target, call: Call, ca: str) -> Answer:
    address = f"127.0.0.1:{target.port}"
    options = [("grpc.ssl_target_name_override", "box"), ("grpc.max_receive_message_length", -1)]
    channel = (
        grpc.secure_channel(address, grpc.ssl_channel_credentials(ca.encode()), options)
        if target.tls
        else grpc.insecure_channel(address, options)
    )
    with channel:
        ask = channel.unary_unary(call.path)
        try:
            message = ask(call.body[FRAME.size :], timeout=SECONDS, metadata=list(_authorization(target).items()))
        except grpc.RpcError as error:
            raise Retryable(f"gRPC {error.code().name}: {error.details()}") from error
    return Answer(framed(message))


def _authorization(target: Target) -> dict[str, str]:
    return {"authorization": f"Bearer {target.token}"} if target.token else {}


def _trusting(ca: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca)
    context.check_hostname = False  # it is dialled by address
    return context
