"""gRPC: the protocol's calls, raw and typed contents, and the code of every error."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

import grpc
import grpc.aio
import pytest

from agent.inference.datatypes import pack_bytes
from agent.inference.errors import Overloaded
from agent.serving import bounds, grpc_server
from agent.serving.access import Access
from agent.serving.grpc_server import MAX_REQUEST, GrpcServer
from protos import inference_pb2 as pb
from protos.errors import Fatal, LongshoreError, Retryable
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from tests.sim.waiting import until
from tests.unit.serving.conftest import Node
from tests.unit.serving.test_rest import png


def sum_request() -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="sum")
    for name in ("a", "b"):
        request.inputs.add(name=name, datatype="FP32", shape=[1, 3])
        request.raw_input_contents.append(struct.pack("<3f", 1, 2, 3))
    return request


async def failure(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_the_node_is_live_and_says_what_it_is(stub: GRPCInferenceServiceStub) -> None:
    assert (await stub.ServerLive(pb.ServerLiveRequest())).live
    assert (await stub.ServerReady(pb.ServerReadyRequest())).ready
    metadata = await stub.ServerMetadata(pb.ServerMetadataRequest())
    assert (metadata.name, metadata.version) == ("longshore", "0.1.0")


async def test_metadata_is_what_the_graph_declares(stub: GRPCInferenceServiceStub) -> None:
    assert (await stub.ModelReady(pb.ModelReadyRequest(name="sum", version="1.0.0"))).ready
    metadata = await stub.ModelMetadata(pb.ModelMetadataRequest(name="sum"))
    assert list(metadata.versions) == ["1.0.0"]
    assert [(spec.name, spec.datatype, list(spec.shape)) for spec in metadata.inputs] == [
        ("a", "FP32", [-1, 3]),
        ("b", "FP32", [-1, 3]),
    ]


async def test_a_model_that_loads_is_not_ready(stub: GRPCInferenceServiceStub, node: Node) -> None:
    assert not (await stub.ModelReady(pb.ModelReadyRequest(name="none"))).ready
    node.table.loading.add("sum")
    assert not (await stub.ServerReady(pb.ServerReadyRequest())).ready
    assert not (await stub.ModelReady(pb.ModelReadyRequest(name="sum"))).ready
    assert (await failure(stub.ModelInfer(sum_request()))).code() is grpc.StatusCode.UNAVAILABLE


async def test_a_release_that_was_refused_for_good_is_not_found_with_the_reason(
    stub: GRPCInferenceServiceStub, node: Node
) -> None:
    node.table.refused["sum"] = "it does not load"
    assert not (await stub.ModelReady(pb.ModelReadyRequest(name="sum"))).ready
    error = await failure(stub.ModelInfer(sum_request()))
    assert (error.code(), "it does not load" in str(error.details())) == (grpc.StatusCode.NOT_FOUND, True)


async def test_raw_tensors_are_inferred(stub: GRPCInferenceServiceStub, node: Node) -> None:
    request = sum_request()
    request.id = "7"
    response = await stub.ModelInfer(request)
    assert (response.model_name, response.model_version, response.id) == ("sum", "1.0.0", "7")
    assert [(out.name, out.datatype, list(out.shape)) for out in response.outputs] == [("total", "FP32", [1, 3])]
    assert list(response.raw_output_contents) == [struct.pack("<3f", 2, 4, 6)]
    assert node.counted.answers == [("grpc", "sum", "ok")]


@pytest.mark.parametrize(
    ("model", "contents", "raw"),
    [
        ("fp32", pb.InferTensorContents(fp32_contents=[0.5, 2]), struct.pack("<2f", 0.5, 2)),
        ("int64", pb.InferTensorContents(int64_contents=[-1, 2**62]), struct.pack("<2q", -1, 2**62)),
        ("int8", pb.InferTensorContents(int_contents=[-128, 127]), struct.pack("<2b", -128, 127)),
        ("int16", pb.InferTensorContents(int_contents=[-(2**15), 2**15 - 1]), struct.pack("<2h", -(2**15), 2**15 - 1)),
        ("int32", pb.InferTensorContents(int_contents=[-(2**31), 2**31 - 1]), struct.pack("<2i", -(2**31), 2**31 - 1)),
        ("uint8", pb.InferTensorContents(uint_contents=[0, 255]), bytes([0, 255])),
        ("uint16", pb.InferTensorContents(uint_contents=[0, 2**16 - 1]), struct.pack("<2H", 0, 2**16 - 1)),
        ("uint32", pb.InferTensorContents(uint_contents=[0, 2**32 - 1]), struct.pack("<2I", 0, 2**32 - 1)),
        ("uint64", pb.InferTensorContents(uint64_contents=[0, 2**64 - 1]), struct.pack("<2Q", 0, 2**64 - 1)),
        ("fp64", pb.InferTensorContents(fp64_contents=[0.5, 1e300]), struct.pack("<2d", 0.5, 1e300)),
        ("bool", pb.InferTensorContents(bool_contents=[True, False]), bytes([1, 0])),
        ("bytes", pb.InferTensorContents(bytes_contents=[b"quay", b""]), pack_bytes([b"quay", b""])),
    ],
)
async def test_typed_contents_are_inferred(
    stub: GRPCInferenceServiceStub, model: str, contents: pb.InferTensorContents, raw: bytes
) -> None:
    request = pb.ModelInferRequest(model_name=model)
    request.inputs.add(name="x", datatype=model.upper(), shape=[2], contents=contents)
    assert list((await stub.ModelInfer(request)).raw_output_contents) == [raw]


async def test_half_precision_travels_raw(stub: GRPCInferenceServiceStub) -> None:
    request = pb.ModelInferRequest(model_name="fp16")
    request.inputs.add(name="x", datatype="FP16", shape=[2])
    request.raw_input_contents.append(struct.pack("<2e", 0.5, -2))
    assert list((await stub.ModelInfer(request)).raw_output_contents) == [struct.pack("<2e", 0.5, -2)]


async def test_a_picture_gives_boxes_on_that_picture(stub: GRPCInferenceServiceStub) -> None:
    request = pb.ModelInferRequest(model_name="harbour")
    request.inputs.add(name="image", datatype="BYTES", shape=[1])
    request.raw_input_contents.append(pack_bytes([png()]))
    request.parameters["min_score"].double_param = 0.5
    request.outputs.add(name="labels")
    request.outputs.add(name="boxes")
    response = await stub.ModelInfer(request)
    assert [out.name for out in response.outputs] == ["labels", "boxes"]
    assert response.raw_output_contents[0] == pack_bytes([b"boat", b"truck"])
    assert struct.unpack("<4f", response.raw_output_contents[1][:16]) == pytest.approx((0, 0.25, 0.5, 0.75), abs=1e-6)


def _one_raw_too_few(request: pb.ModelInferRequest) -> None:
    request.raw_input_contents.pop()


def _other_size(request: pb.ModelInferRequest) -> None:
    request.raw_input_contents[0] = b"123"


def _negative(request: pb.ModelInferRequest) -> None:
    request.inputs[0].shape[0] = -1


def _out_of_range(request: pb.ModelInferRequest) -> None:
    del request.raw_input_contents[:], request.inputs[:]
    request.inputs.add(name="a", datatype="INT8", shape=[1], contents=pb.InferTensorContents(int_contents=[1000]))


def _half_precision_typed(request: pb.ModelInferRequest) -> None:
    del request.raw_input_contents[:], request.inputs[:]
    request.inputs.add(name="a", datatype="FP16", shape=[1])


def _unknown_output(request: pb.ModelInferRequest) -> None:
    request.outputs.add(name="sum")


def _both_ways(request: pb.ModelInferRequest) -> None:
    request.inputs[0].contents.fp32_contents.extend([1, 2, 3])


def _endless(request: pb.ModelInferRequest) -> None:
    request.parameters["timeout"].double_param = float("inf")


def _shared_memory(request: pb.ModelInferRequest) -> None:
    request.inputs[0].parameters["shared_memory_region"].string_param = "x"


def _bad_timeout(request: pb.ModelInferRequest) -> None:
    request.parameters["timeout"].string_param = "soon"


@pytest.mark.parametrize(
    "spoil",
    [
        _one_raw_too_few,
        _other_size,
        _negative,
        _out_of_range,
        _half_precision_typed,
        _unknown_output,
        _both_ways,
        _endless,
        _shared_memory,
        _bad_timeout,
    ],
)
async def test_a_bad_request_is_refused_in_one_sentence(
    stub: GRPCInferenceServiceStub, spoil: Callable[[pb.ModelInferRequest], None]
) -> None:
    request = sum_request()
    spoil(request)
    error = await failure(stub.ModelInfer(request))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details()
    assert "\n" not in error.details()


async def test_a_datatype_nobody_here_has_is_refused_as_that(stub: GRPCInferenceServiceStub) -> None:
    request = pb.ModelInferRequest(model_name="fp32")
    request.inputs.add(name="x", datatype="BF16", shape=[1])
    error = await failure(stub.ModelInfer(request))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "this server does not support datatype 'BF16'" in error.details()


async def test_an_unknown_model_or_version_is_not_found(stub: GRPCInferenceServiceStub) -> None:
    for name, version in (("none", ""), ("sum", "9")):
        request = sum_request()
        request.model_name, request.model_version = name, version
        assert (await failure(stub.ModelInfer(request))).code() is grpc.StatusCode.NOT_FOUND
        metadata = pb.ModelMetadataRequest(name=name, version=version)
        assert (await failure(stub.ModelMetadata(metadata))).code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Overloaded("busy", 2.5), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (Retryable("worker died", 0.2), grpc.StatusCode.UNAVAILABLE),
        (Fatal("mend it"), grpc.StatusCode.INTERNAL),
    ],
)
async def test_what_the_engine_says_becomes_a_code(
    stub: GRPCInferenceServiceStub,
    node: Node,
    monkeypatch: pytest.MonkeyPatch,
    error: LongshoreError,
    code: grpc.StatusCode,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(node.engine("sum"), "infer", fail)
    answer = await failure(stub.ModelInfer(sum_request()))
    assert (answer.code(), answer.details()) == (code, str(error))


async def test_a_request_is_answered_when_its_time_has_passed(stub: GRPCInferenceServiceStub, node: Node) -> None:
    node.engine("sum").slow_down(5.0)
    request = sum_request()
    request.parameters["timeout"].int64_param = 50_000
    error = await failure(stub.ModelInfer(request))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "50 ms" in error.details()
    assert node.counted.answers == [("grpc", "sum", "expired")]


async def test_a_caller_who_leaves_cancels_the_request(stub: GRPCInferenceServiceStub, node: Node) -> None:
    node.engine("sum").slow_down(30.0)
    call = stub.ModelInfer(sum_request())
    await until(lambda: node.engine("sum").busy)
    call.cancel()
    await until(lambda: bool(node.counted.answers))
    assert node.counted.answers == [("grpc", "sum", "cancelled")]


async def test_a_message_beyond_the_bound_is_refused(stub: GRPCInferenceServiceStub) -> None:
    request = pb.ModelInferRequest(model_name="uint8")
    request.inputs.add(name="x", datatype="UINT8", shape=[MAX_REQUEST])
    request.raw_input_contents.append(bytes(MAX_REQUEST))
    assert (await failure(stub.ModelInfer(request))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(("model", "most"), [("uint8", bounds.MAX_NUMBERS), ("bytes", bounds.MAX_TEXTS)])
async def test_more_typed_values_than_the_loop_has_time_for_are_to_travel_raw(
    stub: GRPCInferenceServiceStub, model: str, most: int
) -> None:
    request = pb.ModelInferRequest(model_name=model)
    item = request.inputs.add(name="x", datatype=model.upper(), shape=[most + 1])
    if model == "bytes":
        item.contents.bytes_contents.extend([b""] * (most + 1))
    else:
        item.contents.uint_contents.extend([0] * (most + 1))
    error = await failure(stub.ModelInfer(request))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "raw_input_contents" in error.details()


async def test_calls_at_once_are_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_server, "MAX_CALLS", 2)
    server = GrpcServer(node.plane)
    port = await server.start("127.0.0.1", 0)
    node.engine("sum").slow_down(0.3)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = GRPCInferenceServiceStub(channel)
        calls = [asyncio.ensure_future(stub.ModelInfer(sum_request())) for _ in range(3)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
        assert [error.code() for error in refused] == [grpc.StatusCode.RESOURCE_EXHAUSTED]
        assert (await stub.ServerLive(pb.ServerLiveRequest())).live
    await server.stop(1.0)


async def test_of_five_hundred_calls_at_once_all_that_are_refused_are_told_when_to_come_again(
    stub: GRPCInferenceServiceStub, node: Node
) -> None:
    node.engine("sum").slow_down(0.01)
    calls = [asyncio.ensure_future(stub.ModelInfer(sum_request())) for _ in range(500)]
    refused = [each for each in await asyncio.gather(*calls, return_exceptions=True) if isinstance(each, grpc.RpcError)]
    assert 0 < len(refused) < 500
    for error in refused:
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "grpc-retry-pushback-ms" in dict(error.trailing_metadata())


async def test_callers_who_leave_while_they_send_make_room(grpc_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_server, "MAX_CALLS", 2)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        half = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
        stub, slow = GRPCInferenceServiceStub(channel), [half(), half()]
        for call in slow:
            await call.wait_for_connection()
        assert (await failure(stub.ModelInfer(sum_request()))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for call in slow:
            call.cancel()
        async with asyncio.timeout(5):
            while not await _live(stub):
                pass


async def test_a_call_without_its_message_is_refused_in_one_sentence(grpc_port: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        empty = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")()
        await empty.done_writing()
        error = await failure(empty)
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "this call came without its message")


async def _live(stub: GRPCInferenceServiceStub) -> bool:
    try:
        return bool((await stub.ServerLive(pb.ServerLiveRequest())).live)
    except grpc.aio.AioRpcError:
        return False


async def test_callers_show_the_token_where_one_is_asked_for(node: Node) -> None:
    server = GrpcServer(node.plane, Access(token="s3cret"))
    port = await server.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = GRPCInferenceServiceStub(channel)
        assert (await stub.ServerLive(pb.ServerLiveRequest())).live
        assert (await failure(stub.ModelInfer(sum_request()))).code() is grpc.StatusCode.UNAUTHENTICATED
        await stub.ModelInfer(sum_request(), metadata=[("authorization", "Bearer s3cret")])
    await server.stop(1.0)


async def test_a_door_that_would_stand_open_is_not_opened(node: Node) -> None:
    with pytest.raises(Fatal, match="LONGSHORE_AGENT_BEARER_FILE"):
        await GrpcServer(node.plane).start("0.0.0.0", 0)


async def test_a_taken_port_is_named_with_the_way_out(node: Node, grpc_port: int) -> None:
    with pytest.raises(Fatal, match=rf"port {grpc_port} .*--grpc-port"):
        await GrpcServer(node.plane).start("127.0.0.1", grpc_port)


async def test_an_address_this_machine_does_not_have_is_no_taken_port(node: Node) -> None:
    with pytest.raises(Fatal, match=r"no address 192\.0\.2\.1.*--listen"):
        await GrpcServer(node.plane, Access(token="s3cret")).start("192.0.2.1", 0)


async def test_stopping_lets_what_runs_finish(node: Node) -> None:
    server = GrpcServer(node.plane)
    port = await server.start("127.0.0.1", 0)
    node.engine("sum").slow_down(0.2)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = GRPCInferenceServiceStub(channel).ModelInfer(sum_request())
        await until(lambda: node.engine("sum").busy)
        await server.stop(2.0)
        assert (await call).model_name == "sum"
    await server.stop(2.0)
