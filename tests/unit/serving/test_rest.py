"""REST: the protocol's paths, both ways to send tensors, and every error as one sentence."""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
import zlib
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from agent.inference.datatypes import pack_bytes
from agent.inference.errors import Overloaded
from agent.serving import bounds, rest_codec
from agent.serving.access import Access
from agent.serving.errors import BadRequest, TooLarge
from agent.serving.rest_server import RestServer
from protos.errors import Fatal, LongshoreError, Retryable
from tests.sim.engine import FakeEngine, RealClock
from tests.sim.waiting import until
from tests.unit.serving.conftest import Node

A_AND_B = [
    {"name": "a", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]},
    {"name": "b", "datatype": "FP32", "shape": [1, 3], "data": [[10.0, 20.0, 30.0]]},
]


def binary_body(document: dict[str, Any], *tensors: bytes) -> tuple[bytes, dict[str, str]]:
    header = json.dumps(document).encode()
    return header + b"".join(tensors), {"Inference-Header-Content-Length": str(len(header))}


def binary_input(name: str, datatype: str, shape: list[int], data: bytes) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}


def outputs_of(response: httpx.Response) -> dict[str, bytes]:
    """The binary outputs of a response."""
    length = int(response.headers["Inference-Header-Content-Length"])
    document, at, found = json.loads(response.content[:length]), length, {}
    for output in document["outputs"]:
        size = output["parameters"]["binary_data_size"]
        found[output["name"]] = response.content[at : at + size]
        at += size
    assert at == len(response.content)
    return found


def png(side: int = 64) -> bytes:
    ok, content = cv2.imencode(".png", np.full((side, side, 3), 255, dtype=np.uint8))
    assert ok
    return bytes(content.tobytes())


async def test_the_node_is_live_and_says_what_it_is(rest: httpx.AsyncClient) -> None:
    assert (await rest.get("/v2/health/live")).status_code == 200
    assert (await rest.get("/v2/health/ready")).status_code == 200
    metadata = (await rest.get("/v2")).json()
    assert (metadata["name"], metadata["version"]) == ("longshore", "0.1.0")
    assert "binary_tensor_data" in metadata["extensions"]


async def test_a_node_that_loads_is_live_and_not_ready(rest: httpx.AsyncClient, node: Node) -> None:
    node.table.loading.add("sum")
    assert (await rest.get("/v2/health/live")).status_code == 200
    assert (await rest.get("/v2/health/ready")).status_code == 503
    assert (await rest.get("/v2/models/sum/ready")).status_code == 503
    refused = await rest.post("/v2/models/sum/infer", json={"inputs": A_AND_B})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")


async def test_a_release_that_was_refused_for_good_is_answered_with_the_reason_and_no_retry(
    rest: httpx.AsyncClient, node: Node
) -> None:
    node.table.refused["sum"] = "it does not load"
    for answer in (
        await rest.get("/v2/models/sum"),
        await rest.get("/v2/models/sum/ready"),
        await rest.post("/v2/models/sum/infer", json={"inputs": A_AND_B}),
    ):
        assert (answer.status_code, answer.headers.get("Retry-After")) == (404, None)
        assert "it does not load" in answer.json()["error"]
    assert node.counted.answers == [("rest", "", "refused_release")]


async def test_a_model_whose_worker_is_started_is_not_ready(rest: httpx.AsyncClient, node: Node) -> None:
    node.table.add("cold", "1", FakeEngine([], RealClock()))
    cold, warm = await rest.get("/v2/models/cold/ready"), await rest.get("/v2/models/sum/ready")
    assert (cold.status_code, cold.json()) == (503, {"name": "cold", "ready": False})
    assert (warm.status_code, warm.json()) == (200, {"name": "sum", "ready": True})


@pytest.mark.parametrize("path", ["/v2/models/sum", "/v2/models/sum/versions/1.0.0"])
async def test_metadata_is_what_the_graph_declares(rest: httpx.AsyncClient, path: str) -> None:
    assert (await rest.get(path)).json() == {
        "name": "sum",
        "versions": ["1.0.0"],
        "inputs": [{"name": name, "datatype": "FP32", "shape": [-1, 3]} for name in ("a", "b")],
        "outputs": [{"name": "total", "datatype": "FP32", "shape": [-1, 3]}],
        "platform": "onnxruntime_onnx",
    }
    assert (await rest.get(f"{path}/ready")).status_code == 200


async def test_json_tensors_flat_or_nested_are_inferred(rest: httpx.AsyncClient, node: Node) -> None:
    response = await rest.post("/v2/models/sum/infer", json={"id": "7", "inputs": A_AND_B})
    assert response.json() == {
        "model_name": "sum",
        "model_version": "1.0.0",
        "outputs": [{"name": "total", "datatype": "FP32", "shape": [1, 3], "data": [11.0, 22.0, 33.0]}],
        "id": "7",
    }
    assert node.counted.answers == [("rest", "sum", "ok")]


async def test_binary_tensors_are_inferred(rest: httpx.AsyncClient) -> None:
    a, b = struct.pack("<3f", 1, 2, 3), struct.pack("<3f", 4, 5, 6)
    document = {
        "inputs": [binary_input("a", "FP32", [1, 3], a), binary_input("b", "FP32", [1, 3], b)],
        "outputs": [{"name": "total", "parameters": {"binary_data": True}}],
    }
    body, headers = binary_body(document, a, b)
    response = await rest.post("/v2/models/sum/versions/1.0.0/infer", content=body, headers=headers)
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert outputs_of(response) == {"total": struct.pack("<3f", 5, 7, 9)}


def test_of_the_same_words_each_request_has_its_own_bytes() -> None:
    first, second = (np.array([number], dtype="<f4").tobytes() for number in (1, 2))
    words, _ = binary_body({"inputs": [binary_input("a", "FP32", [1], first)]})

    def read(data: bytes) -> bytes:
        request, _ = rest_codec.infer_request("m", None, memoryview(words + data), str(len(words)))
        return bytes(request.inputs[0].data)

    assert (read(first), read(second)) == (first, second)
    with pytest.raises(BadRequest, match="binary_data_size"):
        read(second[:-1])


async def test_all_outputs_travel_binary_when_the_request_says_so(rest: httpx.AsyncClient) -> None:
    document = {"parameters": {"binary_data_output": True}, "inputs": A_AND_B}
    response = await rest.post("/v2/models/sum/infer", json=document)
    assert outputs_of(response) == {"total": struct.pack("<3f", 11, 22, 33)}


@pytest.mark.parametrize(
    ("model", "data"),
    [
        ("bytes", ["quay", "", "Süd"]),
        ("fp16", [0.5, -1.0, 2.0]),
        ("bool", [True, False, True]),
        ("int16", [-(2**15), 0, 2**15 - 1]),
        ("int32", [-(2**31), 0, 2**31 - 1]),
        ("int64", [2**62, -1, 0]),
        ("uint8", [0, 128, 255]),
        ("uint16", [0, 1, 2**16 - 1]),
        ("uint32", [0, 1, 2**32 - 1]),
        ("uint64", [0, 1, 2**64 - 1]),
        ("fp32", [0.5, -1.0, 3.0]),
        ("fp64", [0.5, 1e300, -1.0]),
        ("int8", [-128, 0, 127]),
    ],
)
async def test_every_kind_of_json_value_passes_unchanged(rest: httpx.AsyncClient, model: str, data: list[Any]) -> None:
    tensor = {"name": "x", "datatype": model.upper(), "shape": [3], "data": data}
    response = await rest.post(f"/v2/models/{model}/infer", json={"inputs": [tensor]})
    assert response.json()["outputs"][0]["data"] == data


@pytest.mark.parametrize(
    ("model", "nested", "flat"),
    [
        ("uint8", [[[1, 2], [3, 4]]], [1, 2, 3, 4]),
        ("bool", [[True], [False], [True], [False]], [True, False, True, False]),
        ("bytes", [[["a", "["], ["]", ""]]], ["a", "[", "]", ""]),
    ],
)
async def test_values_may_be_nested_as_their_shape_is(
    rest: httpx.AsyncClient, model: str, nested: list[Any], flat: list[Any]
) -> None:
    tensor = {"name": "x", "datatype": model.upper(), "shape": [4], "data": nested}
    response = await rest.post(f"/v2/models/{model}/infer", json={"inputs": [tensor]})
    assert response.json()["outputs"][0]["data"] == flat


async def test_nothing_may_be_in_lists_of_nothing(rest: httpx.AsyncClient) -> None:
    tensor = {"name": "x", "datatype": "UINT8", "shape": [0], "data": [[], []]}
    assert (await rest.post("/v2/models/uint8/infer", json={"inputs": [tensor]})).json()["outputs"][0]["data"] == []


async def test_more_values_than_the_loop_has_time_for_are_to_travel_binary(rest: httpx.AsyncClient) -> None:
    count = bounds.MAX_NUMBERS + 1
    body, headers = binary_body({"inputs": [binary_input("x", "UINT8", [count], bytes(count))]}, bytes(count))
    response = await rest.post("/v2/models/uint8/infer", content=body, headers=headers)
    assert response.status_code == 400
    assert '"binary_data": true' in response.json()["error"]
    texts = {"name": "x", "datatype": "BYTES", "shape": [bounds.MAX_TEXTS + 1], "data": [""] * (bounds.MAX_TEXTS + 1)}
    for data in (texts["data"], [[text] for text in [""] * (bounds.MAX_TEXTS + 1)]):
        response = await rest.post("/v2/models/bytes/infer", json={"inputs": [{**texts, "data": data}]})
        assert response.status_code == 413
        assert "binary" in response.json()["error"]


def test_more_json_than_the_loop_has_time_for_is_to_travel_binary() -> None:
    body = memoryview(b'{"inputs": []}'.ljust(rest_codec.MAX_JSON + 1))
    with pytest.raises(TooLarge, match="binary"):
        rest_codec.infer_request("sum", None, body, None)


async def test_a_picture_gives_boxes_on_that_picture(rest: httpx.AsyncClient) -> None:
    element = pack_bytes([png()])
    document = {
        "parameters": {"binary_data_output": True, "min_score": 0.5},
        "inputs": [binary_input("image", "BYTES", [1], element)],
    }
    body, headers = binary_body(document, element)
    outputs = outputs_of(await rest.post("/v2/models/harbour/infer", content=body, headers=headers))
    assert struct.unpack("<4f", outputs["boxes"][:16]) == pytest.approx((0.0, 0.25, 0.5, 0.75), abs=1e-6)
    assert struct.unpack("<2f", outputs["scores"]) == pytest.approx((0.9, 0.6))
    assert outputs["labels"] == pack_bytes([b"boat", b"truck"])


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress])
async def test_a_compressed_body_is_read(rest: httpx.AsyncClient, encode: Any) -> None:
    name = "gzip" if encode is gzip.compress else "deflate"
    body = encode(json.dumps({"inputs": A_AND_B}).encode())
    response = await rest.post("/v2/models/sum/infer", content=body, headers={"Content-Encoding": name})
    assert response.status_code == 200


async def test_a_compressed_body_that_grows_too_large_is_refused(rest: httpx.AsyncClient) -> None:
    body = gzip.compress(bytes(64 << 20))
    response = await rest.post("/v2/models/sum/infer", content=body, headers={"Content-Encoding": "gzip"})
    assert response.status_code == 413


async def test_a_chunked_body_is_read(rest: httpx.AsyncClient) -> None:
    async def chunks() -> Any:
        for byte in json.dumps({"inputs": A_AND_B}).encode():
            yield bytes([byte])

    assert (await rest.post("/v2/models/sum/infer", content=chunks())).status_code == 200


BAD_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no json": b"\x00\xff",
    "a list": b"[]",
    "no inputs": b"{}",
    "inputs of the wrong kind": b'{"inputs": 7}',
    "an unknown datatype": b'{"inputs": [{"name": "a", "datatype": "FP7", "shape": [1], "data": [1]}]}',
    "no data": b'{"inputs": [{"name": "a", "datatype": "FP32", "shape": [1]}]}',
    "text for numbers": b'{"inputs": [{"name": "a", "datatype": "FP32", "shape": [1], "data": ["x"]}]}',
    "a number too large": b'{"inputs": [{"name": "a", "datatype": "UINT8", "shape": [1], "data": [256]}]}',
    "a list too deep": b'{"inputs": [{"name": "a", "datatype": "FP32", "shape": [1], "data": %s}]}'
    % (b"[" * 5000 + b"]" * 5000),
    "a shape of other size": json.dumps({"inputs": [{**A_AND_B[0], "shape": [2, 3]}, A_AND_B[1]]}).encode(),
    "an absurd shape": json.dumps({"inputs": [{**A_AND_B[0], "shape": [2**70, 0]}, A_AND_B[1]]}).encode(),
    "a negative shape": json.dumps({"inputs": [{**A_AND_B[0], "shape": [-1, -3]}, A_AND_B[1]]}).encode(),
    "a missing input": json.dumps({"inputs": A_AND_B[:1]}).encode(),
    "an unknown output": json.dumps({"inputs": A_AND_B, "outputs": [{"name": "sum"}]}).encode(),
    "binary that is not there": json.dumps({"inputs": [binary_input("a", "FP32", [1], b"1234")]}).encode(),
    "text in lists too deep": b'{"inputs": [{"name": "a", "datatype": "BYTES", "shape": [1], "data": %s}]}'
    % (b"[" * 40 + b'"x"' + b"]" * 40),
    "text in uneven lists": b'{"inputs": [{"name": "a", "datatype": "BYTES", "shape": [2], "data": [["x"], "y"]}]}',
    "an object for a list": b'{"inputs": [{"name": "a", "datatype": "FP32", "shape": [1], "data": {"b": [1]}}]}',
    "a number for a list": b'{"inputs": [{"name": "a", "datatype": "FP32", "shape": [1], "data": 1}]}',
    "a size of 5000 digits": b'{"inputs": [{"name": "a", "datatype": "FP32", "shape": [%s], "data": [1]}]}'
    % (b"9" * 5000),
    "a timeout of 400 digits": b'{"inputs": [], "parameters": {"timeout": 1%s}}' % (b"0" * 400),
    "an endless timeout": b'{"inputs": [], "parameters": {"timeout": 1e30}}',
    "a negative timeout": json.dumps({"inputs": A_AND_B, "parameters": {"timeout": -1}}).encode(),
    "a timeout in words": json.dumps({"inputs": A_AND_B, "parameters": {"timeout": "soon"}}).encode(),
    "shared memory": json.dumps(
        {"inputs": [{**A_AND_B[0], "parameters": {"shared_memory_region": "x"}}, A_AND_B[1]]}
    ).encode(),
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_bad_body_is_refused_in_one_sentence(rest: httpx.AsyncClient, body: bytes) -> None:
    response = await rest.post("/v2/models/sum/infer", content=body)
    assert response.status_code == 400
    assert list(response.json()) == ["error"]
    assert "\n" not in response.json()["error"]
    assert (await rest.post("/v2/models/sum/infer", json={"inputs": A_AND_B})).status_code == 200


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "999999", "9" * 5000, "٣"])
async def test_a_wrong_header_length_is_refused(rest: httpx.AsyncClient, length: str) -> None:
    headers = {b"Inference-Header-Content-Length": length.encode()}
    response = await rest.post("/v2/models/sum/infer", content=b"{}", headers=headers)
    assert response.status_code == 400


async def test_bytes_left_over_are_refused(rest: httpx.AsyncClient) -> None:
    body, headers = binary_body({"inputs": A_AND_B}, b"left over")
    response = await rest.post("/v2/models/sum/infer", content=body, headers=headers)
    assert response.status_code == 400
    assert "9 bytes follow" in response.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/models/none", 404),
        ("GET", "/v2/models/none/ready", 404),
        ("GET", "/v2/models/sum/versions/9", 404),
        ("GET", "/v2/models/sum/explode", 404),
        ("GET", "/v2/models/sum/infer", 405),
        ("POST", "/v2/health/live", 405),
        ("DELETE", "/v2/models/sum", 405),
    ],
)
async def test_a_wrong_path_or_method_says_so(rest: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    response = await rest.request(method, path)
    assert response.status_code == status
    assert list(response.json()) == ["error"]


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (Overloaded("busy", 2.5), 429, "3"),
        (Retryable("worker died", 0.2), 503, "1"),
        (Fatal("mend it"), 500, None),
    ],
)
async def test_what_the_engine_says_becomes_a_code(
    rest: httpx.AsyncClient, node: Node, monkeypatch: pytest.MonkeyPatch, error: LongshoreError, status: int, retry: str
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(node.engine("sum"), "infer", fail)
    response = await rest.post("/v2/models/sum/infer", json={"inputs": A_AND_B})
    assert (response.status_code, response.headers.get("Retry-After")) == (status, retry)
    assert response.json() == {"error": str(error)}


async def test_a_request_is_answered_when_its_time_has_passed(rest: httpx.AsyncClient, node: Node) -> None:
    node.engine("sum").slow_down(5.0)
    started = asyncio.get_running_loop().time()
    response = await rest.post("/v2/models/sum/infer", json={"inputs": A_AND_B, "parameters": {"timeout": 50_000}})
    assert response.status_code == 504
    assert asyncio.get_running_loop().time() - started < 5.0
    assert node.counted.answers == [("rest", "sum", "expired")]


async def test_callers_show_the_token_where_one_is_asked_for(node: Node) -> None:
    server = RestServer(node.plane, Access(token="s3cret"))
    port = await server.start("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        assert (await client.get("/v2/health/live")).status_code == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
            answer = await client.get("/v2/models/sum", headers=headers)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "s3cret" not in answer.text
        assert (await client.get("/v2/models/sum", headers={"Authorization": "Bearer s3cret"})).status_code == 200
    await server.stop(1.0)


async def test_a_door_that_would_stand_open_is_not_opened(node: Node) -> None:
    with pytest.raises(Fatal, match="LONGSHORE_AGENT_BEARER_FILE"):
        await RestServer(node.plane).start("0.0.0.0", 0)


async def test_a_taken_port_is_named_with_the_way_out(node: Node, rest_port: int) -> None:
    with pytest.raises(Fatal, match=rf"port {rest_port} .*--http-port"):
        await RestServer(node.plane).start("127.0.0.1", rest_port)


async def test_an_address_this_machine_does_not_have_is_no_taken_port(node: Node) -> None:
    with pytest.raises(Fatal, match=r"no address 192\.0\.2\.1.*--listen"):
        await RestServer(node.plane, Access(token="s3cret")).start("192.0.2.1", 0)


async def test_stopping_lets_what_runs_finish(node: Node) -> None:
    server = RestServer(node.plane)
    port = await server.start("127.0.0.1", 0)
    node.engine("sum").slow_down(0.1)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        request = asyncio.ensure_future(client.post("/v2/models/sum/infer", json={"inputs": A_AND_B}))
        await until(lambda: node.engine("sum").busy)
        await server.stop(2.0)
        assert (await request).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await client.get("/v2")
    await server.stop(2.0)


async def test_stopping_does_not_wait_for_ever(node: Node) -> None:
    server = RestServer(node.plane)
    port = await server.start("127.0.0.1", 0)
    node.engine("sum").slow_down(30.0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        request = asyncio.ensure_future(client.post("/v2/models/sum/infer", json={"inputs": A_AND_B}))
        await until(lambda: node.engine("sum").busy)
        await server.stop(0.05)
        with pytest.raises(httpx.TransportError):
            await request
    assert ("rest", "sum", "cancelled") in node.counted.answers
