"""The model-repository extension: desired state can be looked at over both transports, and changed over neither."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc.aio
import httpx
import pytest

from agent.serving.access import Access
from agent.serving.grpc_server import GrpcServer
from agent.serving.rest_server import RestServer
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from tests.sim.engine import FakeEngine, RealClock
from tests.unit.serving.conftest import Node
from tests.unit.serving.doors import Door, GrpcDoor, Refused, RestDoor


async def test_the_index_tells_what_is_served_and_what_is_awaited(door: Door, node: Node) -> None:
    node.table.loading.add("late")
    node.table.refused["bad"] = "it does not load"
    node.table.add("cold", "2", FakeEngine([], RealClock()))
    found = {line["name"]: line for line in await door.index()}
    assert found["sum"] == {"name": "sum", "version": "1.0.0", "state": "READY", "reason": ""}
    assert found["late"] == {"name": "late", "version": "1", "state": "LOADING", "reason": "it is being loaded"}
    assert found["cold"]["state"] == "LOADING"
    assert (found["bad"]["state"], found["bad"]["reason"]) == ("UNAVAILABLE", "it does not load")
    ready = await door.index(ready=True)
    assert {line["state"] for line in ready} == {"READY"}
    assert len(ready) == len(found) - 3


async def test_loading_what_is_served_is_done_already(door: Door) -> None:
    await door.load("sum")


async def test_loading_what_still_loads_is_to_be_asked_for_again(door: Door, node: Node) -> None:
    node.table.loading.add("sum")
    assert await status(door.load("sum")) == 503


async def test_loading_what_was_refused_for_good_tells_the_reason(door: Door, node: Node) -> None:
    node.table.refused["sum"] = "an unknown operator"
    assert await status(door.load("sum"), "an unknown operator") == 404


async def test_what_no_deployment_wants_is_not_loaded_and_the_way_is_named(door: Door, node: Node) -> None:
    assert await status(door.load("quay"), "longshore apply") == 404
    assert await status(door.unload("quay"), "longshore apply") == 404
    assert "quay" not in node.table.models


async def test_a_configuration_of_the_callers_own_is_refused(door: Door) -> None:
    assert await status(door.load("sum", config="{}"), "longshore apply") == 409


async def test_unloading_what_a_deployment_wants_is_refused_and_the_way_is_named(door: Door, node: Node) -> None:
    assert await status(door.unload("sum"), "longshore delete deployment") == 409
    assert node.engine("sum").ready
    node.table.loading.add("late")
    assert await status(door.unload("late")) == 409


async def test_a_body_longer_than_any_of_these_requests_is_not_parsed(rest: httpx.AsyncClient) -> None:
    answers = [await rest.post("/v2/repository/index", content=b"{}".ljust(nbytes)) for nbytes in (1000, 70_000)]
    assert [answer.status_code for answer in answers] == [200, 400]


async def status(call: Awaitable[object], words: str = "") -> int:
    with pytest.raises(Refused) as caught:
        await call
    assert words in str(caught.value)
    return caught.value.status


EXTENSIONS: list[Callable[[Door], Awaitable[object]]] = [
    lambda door: door.index(),
    lambda door: door.load("sum"),
    lambda door: door.unload("sum"),
    lambda door: door.statistics(),
    lambda door: door.regions(),
    lambda door: door.register("r", "r", 1),
    lambda door: door.unregister(),
]


async def test_every_extension_asks_for_the_token_where_one_is_set_over_rest(node: Node) -> None:
    server = RestServer(node.plane, Access(token="s3cret"))
    port = await server.start("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        for ask in EXTENSIONS:
            assert await status(ask(RestDoor(client))) == 401
        client.headers["Authorization"] = "Bearer s3cret"
        await RestDoor(client).load("sum")
    await server.stop(1.0)


async def test_every_extension_asks_for_the_token_where_one_is_set_over_grpc(node: Node) -> None:
    server = GrpcServer(node.plane, Access(token="s3cret"))
    port = await server.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for ask in EXTENSIONS:
            assert await status(ask(GrpcDoor(GRPCInferenceServiceStub(channel)))) == 401
    await server.stop(1.0)
