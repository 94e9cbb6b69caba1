"""CloudInference over gRPC: what a frame's picture comes back as, and what each failure means to the lane."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import grpc
import grpc.aio
import pytest

from agent.adapters.cloud_grpc import ClientIdentity, GrpcCloud
from agent.errors import TurnedAway
from agent.ports import CloudModel
from protos import inference_pb2, inference_pb2_grpc
from protos.errors import Rejected, Retryable
from protos.ids import ModelName, Version

MODEL = CloudModel(ModelName("harbour"), Version("1.0.0"), ("boat", "truck"))
JPEG = b"\xff\xd8 a picture \xff\xd9"
NOBODY = ClientIdentity(b"", b"", b"")


class Servicer(inference_pb2_grpc.GRPCInferenceServiceServicer):
    """A cloud node: `answer` makes the response; `asked` are the requests."""

    def __init__(self) -> None:
        self.asked: list[inference_pb2.ModelInferRequest] = []
        self.answer: Callable[[], inference_pb2.ModelInferResponse] = two_boxes
        self.refusal: grpc.StatusCode | None = None
        self.hanging = False
        self.told: dict[str, str] = {}
        self.trailing: tuple[tuple[str, str], ...] = ()
        self.reached = asyncio.Event()

    async def ModelInfer(
        self, request: inference_pb2.ModelInferRequest, context: grpc.aio.ServicerContext
    ) -> inference_pb2.ModelInferResponse:
        self.asked.append(request)
        self.told = {name: str(value) for name, value in context.invocation_metadata() or ()}
        context.set_trailing_metadata(self.trailing)
        self.reached.set()
        if self.hanging:
            await asyncio.sleep(60)
        if self.refusal is not None:
            await context.abort(self.refusal, "not here", self.trailing)
        return self.answer()


def two_boxes() -> inference_pb2.ModelInferResponse:
    response = inference_pb2.ModelInferResponse()
    raw = {
        "boxes": struct.pack("<8f", 0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1),
        "scores": struct.pack("<2f", 0.9, 0.2),
        "classes": struct.pack("<2q", 1, 7),
    }
    for name, content in raw.items():
        response.outputs.add(name=name)
        response.raw_output_contents.append(content)
    return response


@dataclass
class World:
    node: Servicer
    cloud: GrpcCloud


@pytest.fixture
async def world() -> AsyncIterator[World]:
    server, node = grpc.aio.server(), Servicer()  # type: ignore[abstract]  # nothing but ModelInfer is asked
    inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(node, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    cloud = GrpcCloud("cloud-1", f"grpc://127.0.0.1:{port}", lambda: NOBODY)
    yield World(node, cloud)
    await cloud.close()
    await server.stop(0)


async def test_a_picture_goes_up_with_its_time_and_boxes_come_back(world: World) -> None:
    seen = await world.cloud.detect_jpeg(MODEL, JPEG, 0.1, 0.5, "hard")
    assert [(box.label, round(box.score, 1)) for box in seen.boxes] == [("truck", 0.9), ("7", 0.2)]
    [asked] = world.node.asked
    assert (asked.model_name, asked.model_version) == ("harbour", "1.0.0")
    assert asked.raw_input_contents[0] == len(JPEG).to_bytes(4, "little") + JPEG
    assert asked.parameters["timeout"].int64_param == 500_000
    told = world.node.told
    assert (told["x-model"], told["x-model-version"], told["x-partition"]) == ("harbour", "1.0.0", "hard")


async def test_boxes_below_the_score_are_left_out(world: World) -> None:
    assert [box.label for box in (await world.cloud.detect_jpeg(MODEL, JPEG, 0.5, 0.5)).boxes] == ["truck"]


async def test_what_the_node_took_is_told_apart_from_the_way(world: World) -> None:
    world.node.trailing = (("x-service-us", "12000"), ("x-wait-us", "3000"))
    assert (await world.cloud.detect_jpeg(MODEL, JPEG, 0.1, 0.5)).service_seconds == pytest.approx(0.015)
    world.node.trailing = (("x-service-us", "-1e9"),)
    assert (await world.cloud.detect_jpeg(MODEL, JPEG, 0.1, 0.5)).service_seconds == 0.0


async def test_being_turned_away_tells_when_to_come_again(world: World) -> None:
    world.node.refusal = grpc.StatusCode.RESOURCE_EXHAUSTED
    world.node.trailing = (("grpc-retry-pushback-ms", "230"), ("x-expected-wait-ms", "180"), ("retry-after", "1"))
    with pytest.raises(TurnedAway, match="cloud-1 has too much to do") as turned:
        await world.cloud.detect_jpeg(MODEL, JPEG, 0.1, 0.5)
    assert turned.value.after_seconds == pytest.approx(0.23)
    assert turned.value.expected_wait == pytest.approx(0.18)


async def test_being_turned_away_without_a_time_is_for_a_second(world: World) -> None:
    world.node.refusal = grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(TurnedAway) as turned:
        await world.cloud.detect_jpeg(MODEL, JPEG, 0.1, 0.5)
    assert turned.value.after_seconds == 1.0


async def test_no_answer_in_time_is_retryable(world: World) -> None:
    world.node.hanging = True
    with pytest.raises(Retryable, match="in time"):
        await world.cloud.detect_jpeg(MODEL, JPEG, 0.1, 0.05)


@pytest.mark.parametrize(
    ("code", "error"),
    [(grpc.StatusCode.NOT_FOUND, Rejected), (grpc.StatusCode.UNAVAILABLE, Retryable)],
)
async def test_a_refusal_is_for_good_and_an_absence_passes(
    world: World, code: grpc.StatusCode, error: type[Exception]
) -> None:
    world.node.refusal = code
    with pytest.raises(error, match="cloud-1"):
        await world.cloud.detect_jpeg(MODEL, JPEG, 0.1, 0.5)


async def test_an_answer_that_is_no_detection_is_rejected(world: World) -> None:
    world.node.answer = inference_pb2.ModelInferResponse
    with pytest.raises(Rejected, match="no detection"):
        await world.cloud.detect_jpeg(MODEL, JPEG, 0.1, 0.5)


async def test_closing_ends_a_call_under_way_as_a_failure_and_not_as_its_callers_end(world: World) -> None:
    world.node.hanging = True
    call = asyncio.create_task(world.cloud.detect_jpeg(MODEL, JPEG, 0.1, 30.0))
    await world.node.reached.wait()
    await world.cloud.close()
    with pytest.raises(Retryable, match="closed"):
        await call


async def test_a_call_after_closing_is_a_failure_of_the_wire(world: World) -> None:
    await world.cloud.close()
    with pytest.raises(Retryable, match="closed"):
        await world.cloud.detect_jpeg(MODEL, JPEG, 0.1, 0.5)


async def test_a_caller_who_is_cancelled_stays_cancelled(world: World) -> None:
    world.node.hanging = True
    call = asyncio.create_task(world.cloud.detect_jpeg(MODEL, JPEG, 0.1, 30.0))
    await world.node.reached.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def test_an_address_of_another_kind_is_rejected() -> None:
    with pytest.raises(Rejected, match="grpc://"):
        GrpcCloud("cloud-1", "http://127.0.0.1:1", lambda: NOBODY)
