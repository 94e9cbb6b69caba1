"""System shared memory over both transports: whose it is, what lies in it, and what its owner can do to it."""

from __future__ import annotations

import gc
import os
import stat
import struct
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest

from agent.inference.datatypes import pack_bytes
from agent.ports import Place, Tensor
from agent.serving import shared_memory
from agent.serving.callers import Caller
from agent.serving.errors import BadRequest, Conflict, Forbidden, UnknownRegion
from agent.serving.shared_memory import MAX_REGIONS, RegionPart, Regions, RegionStatus, may_use
from protos import inference_pb2 as pb
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from tests.unit.serving.conftest import Node
from tests.unit.serving.doors import Asked, Door, GrpcDoor, Refused, RestDoor

SIZE = 4096
HERE = Caller("127.0.0.1", 4711, 8000)
ANN, BOB, ROOT = 1001, 1002, 0
FROM_REGION = [Tensor(name, "FP32", (1, 3), b"") for name in ("a", "b")]


@dataclass
class Memory:
    """A caller's shared memory."""

    name: str
    fd: int

    def write(self, at: int, content: bytes) -> None:
        os.pwrite(self.fd, content, at)

    def read(self, at: int, nbytes: int) -> bytes:
        return os.pread(self.fd, nbytes, at)


@pytest.fixture
def memory() -> Iterator[Memory]:
    """One page, under a name of its own."""
    fd, path = tempfile.mkstemp(prefix="longshore-test-", dir="/dev/shm")
    os.truncate(fd, SIZE)
    yield Memory(Path(path).name, fd)
    os.close(fd)
    Path(path).unlink()


def place(offset: int, nbytes: int, region: str = "mine") -> dict[str, Any]:
    found = {"shared_memory_region": region, "shared_memory_byte_size": nbytes}
    return found if offset == 0 else {**found, "shared_memory_offset": offset}


async def refused(call: Awaitable[object], status: int, words: str) -> None:
    with pytest.raises(Refused) as caught:
        await call
    assert caught.value.status == status
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


# --- over both transports -------------------------------------------------------------------------------------------


async def test_a_region_is_registered_told_and_unregistered(door: Door, memory: Memory) -> None:
    await door.register("mine", memory.name, 1000, 96)
    assert await door.regions("mine") == [{"name": "mine", "key": memory.name, "offset": 96, "byte_size": 1000}]
    await door.register("whole", f"/{memory.name}", SIZE)
    assert {each["name"] for each in await door.regions()} == {"mine", "whole"}
    await door.unregister("mine")
    await refused(door.regions("mine"), 404, "register it first")
    await refused(door.unregister("mine"), 404, "register it first")
    await door.unregister()
    assert await door.regions() == []


async def test_tensors_are_taken_from_a_region_and_put_into_it(door: Door, memory: Memory) -> None:
    await door.register("mine", memory.name, SIZE - 64, 64)
    memory.write(64, struct.pack("<6f", 1, 2, 3, 10, 20, 30))
    of = {"a": place(0, 12), "b": place(12, 12), "total": place(1000, 100)}
    answer = await door.infer("sum", Asked(FROM_REGION, ["total"], of=of))
    assert answer == {"total": place(1000, 12)}
    assert struct.unpack("<3f", memory.read(1064, 12)) == (11, 22, 33)


async def test_some_tensors_may_lie_in_a_region_and_others_be_sent(door: Door, memory: Memory) -> None:
    await door.register("mine", memory.name, SIZE)
    memory.write(0, struct.pack("<3f", 1, 2, 3))
    sent = Tensor("b", "FP32", (1, 3), struct.pack("<3f", 10, 20, 30))
    for inputs in ([FROM_REGION[0], sent], [sent, FROM_REGION[0]]):
        assert await door.infer("sum", Asked(inputs, of={"a": place(0, 12)})) == {
            "total": struct.pack("<3f", 11, 22, 33)
        }


async def test_outputs_that_are_sent_stand_where_their_names_do(door: Door, memory: Memory) -> None:
    """The answer has bytes for some outputs only; clients must find the right ones."""
    await door.register("mine", memory.name, SIZE)
    pixels = Tensor("image", "UINT8", (1, 32, 64, 3), b"\xff" * (32 * 64 * 3))
    asked = Asked([pixels], ["boxes", "scores", "classes"], of={"scores": place(0, 64)})
    answer = await door.infer("harbour", asked)
    assert {name: len(found) if isinstance(found, bytes) else found for name, found in answer.items()} == {
        "boxes": 64,
        "scores": {**place(0, 16), "shared_memory_offset": 0},
        "classes": 32,
    }


async def test_text_may_lie_in_a_region(door: Door, memory: Memory) -> None:
    await door.register("mine", memory.name, SIZE)
    text = pack_bytes([b"quay", b"", "Süd".encode()])
    memory.write(0, text)
    asked = Asked([Tensor("x", "BYTES", (3,), b"")], ["y"], of={"x": place(0, len(text)), "y": place(2048, 100)})
    await door.infer("bytes", asked)
    assert memory.read(2048, len(text)) == text


async def test_a_region_that_was_made_smaller_costs_its_owners_request_alone(door: Door, memory: Memory) -> None:
    await door.register("mine", memory.name, SIZE)
    os.truncate(memory.fd, 8)
    of = {"a": place(0, 12), "b": place(12, 12)}
    await refused(door.infer("sum", Asked(FROM_REGION, of=of)), 400, "made smaller")
    sent = [Tensor(name, "FP32", (1, 3), bytes(12)) for name in ("a", "b")]
    await refused(door.infer("sum", Asked(sent, ["total"], of={"total": place(0, 12)})), 400, "smaller")
    assert await door.infer("sum", Asked(sent)) == {"total": bytes(12)}


BAD_PLACES: dict[str, tuple[dict[str, Any], int, str]] = {
    "a region nobody registered": (place(0, 12, "none"), 404, "register it first"),
    "bytes behind its end": (place(SIZE - 11, 12), 400, "do not lie in its region"),
    "more bytes than it has": (place(0, SIZE + 1), 400, "do not lie in its region"),
    "an offset beyond all numbers": (place(2**63 - 1, 12), 400, "do not lie in its region"),
    "other bytes than the shape": (place(0, 16), 400, "12 bytes, but 16 came"),
    "no size": ({"shared_memory_region": "mine"}, 400, "shared_memory_byte_size"),
    "no region": ({"shared_memory_byte_size": 12}, 400, "shared_memory_region"),
    "a negative offset": (place(-1, 12), 400, "shared_memory_offset"),
    "a size in words": ({"shared_memory_region": "mine", "shared_memory_byte_size": "all"}, 400, "byte_size"),
    "a region that is a number": ({"shared_memory_region": 7, "shared_memory_byte_size": 12}, 400, "is a text"),
}


@pytest.mark.parametrize("why", BAD_PLACES)
async def test_a_place_that_does_not_hold_the_input_is_refused(door: Door, memory: Memory, why: str) -> None:
    bad, status, words = BAD_PLACES[why]
    await door.register("mine", memory.name, SIZE)
    await refused(door.infer("sum", Asked(FROM_REGION, of={"a": bad, "b": place(0, 12)})), status, words)


@pytest.mark.parametrize("why", [why for why in BAD_PLACES if why != "other bytes than the shape"])
async def test_a_place_that_cannot_take_the_output_is_refused(door: Door, memory: Memory, why: str) -> None:
    bad, status, words = BAD_PLACES[why]
    await door.register("mine", memory.name, SIZE)
    asked = Asked(FROM_REGION, ["total"], of={"a": place(0, 12), "b": place(0, 12), "total": bad})
    await refused(door.infer("sum", asked), status, words)


async def test_an_output_larger_than_its_place_is_refused(door: Door, memory: Memory) -> None:
    await door.register("mine", memory.name, SIZE)
    asked = Asked(FROM_REGION, ["total"], of={"a": place(0, 12), "b": place(0, 12), "total": place(0, 11)})
    await refused(door.infer("sum", asked), 400, "output 'total' is 12 bytes")


async def test_data_beside_a_place_is_refused(door: Door, memory: Memory) -> None:
    await door.register("mine", memory.name, SIZE)
    inputs = [Tensor("a", "FP32", (1, 3), bytes(12)), FROM_REGION[1]]
    with pytest.raises(Refused, match=r"data came beside|raw_input_contents came") as caught:
        await door.infer("sum", Asked(inputs, of={"a": place(0, 12), "b": place(0, 12)}))
    assert caught.value.status == 400


async def test_typed_data_beside_a_place_is_refused(stub: GRPCInferenceServiceStub, memory: Memory) -> None:
    await GrpcDoor(stub).register("mine", memory.name, SIZE)
    request = pb.ModelInferRequest(model_name="fp32")
    item = request.inputs.add(name="x", datatype="FP32", shape=[1])
    item.contents.fp32_contents.append(1)
    item.parameters["shared_memory_region"].string_param = "mine"
    item.parameters["shared_memory_byte_size"].int64_param = 4
    with pytest.raises(grpc.aio.AioRpcError, match="data came beside"):
        await stub.ModelInfer(request)


async def test_what_cannot_be_a_region_is_refused(door: Door, memory: Memory) -> None:
    for key in ("", "/", "..", ".", f"./{memory.name}", "a/b", "/../etc/passwd", "nul\0", "x" * 256, "no-such-memory"):
        await refused(door.register("bad", key, 1), 400, "")
    for size, offset in ((SIZE + 1, 0), (SIZE, 1), (0, 0), (1, SIZE)):
        await refused(door.register("bad", memory.name, size, offset), 400, "do not lie in")
    await door.register("mine", memory.name, SIZE)
    await refused(door.register("mine", memory.name, SIZE), 409, "unregister it first")
    assert len(await door.regions()) == 1


async def test_only_shared_memory_itself_is_opened(door: Door, tmp_path: Path) -> None:
    """Not what a link of that name leads to, nor a pipe that would wait."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    shm = Path("/dev/shm")
    link, pipe, folder = (shm / f"longshore-test-{os.getpid()}-{kind}" for kind in ("link", "pipe", "folder"))
    link.symlink_to(secret)
    os.mkfifo(pipe)
    folder.mkdir()
    try:
        await refused(door.register("bad", link.name, 1), 400, "cannot be opened")
        await refused(door.register("bad", pipe.name, 1), 400, "no shared memory but something else")
        await refused(door.register("bad", folder.name, 1), 400, "cannot be opened")
    finally:
        link.unlink()
        pipe.unlink()
        folder.rmdir()


async def test_a_caller_from_elsewhere_gets_no_shared_memory(
    node: Node, door: Door, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await door.register("mine", memory.name, SIZE)
    monkeypatch.setattr(Caller, "on_this_box", property(lambda _: False))
    of = {"a": place(0, 12), "b": place(0, 12)}
    for call in (
        door.infer("sum", Asked(FROM_REGION, of=of)),
        door.regions(),
        door.unregister(),
        door.register("other", memory.name, SIZE),
    ):
        await refused(call, 403, "callers on this box")


async def test_another_users_connection_gets_nothing_of_a_region(
    node: Node, door: Door, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await door.register("mine", memory.name, SIZE)
    monkeypatch.setattr(node.plane.regions, "_user", lambda _: BOB)
    of = {"a": place(0, 12), "b": place(0, 12)}
    await refused(door.infer("sum", Asked(FROM_REGION, of=of)), 403, "another user")
    await refused(door.unregister("mine"), 403, "another user")
    await refused(door.regions("mine"), 403, "another user")
    await refused(door.register("his", memory.name, SIZE), 403, "belongs to another user")
    await door.unregister()
    monkeypatch.undo()
    assert len(await door.regions()) == 1


@pytest.mark.parametrize("body", [b"[]", b'{"key": "mine"}', b'{"key": 7, "byte_size": 1}', b"\xff", b"[" * 5000])
async def test_a_body_that_registers_nothing_is_refused(rest: httpx.AsyncClient, body: bytes) -> None:
    answer = await rest.post("/v2/systemsharedmemory/region/mine/register", content=body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v2/systemsharedmemory/status", 405),
        ("GET", "/v2/systemsharedmemory/unregister", 405),
        ("GET", "/v2/systemsharedmemory/region/mine/register", 405),
        ("GET", "/v2/systemsharedmemory", 404),
        ("GET", "/v2/systemsharedmemory/region/mine", 404),
        ("GET", "/v2/repository/index", 405),
        ("POST", "/v2/models/stats", 405),
        ("POST", "/v2/repository/models/sum", 404),
    ],
)
async def test_a_wrong_method_or_path_says_so(rest: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await rest.request(method, path)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


async def test_cuda_shared_memory_is_not_offered(door: Door, rest: httpx.AsyncClient) -> None:
    assert "cuda_shared_memory" not in (await door.metadata())["extensions"]
    assert (await rest.get("/v2/cudasharedmemory/status")).status_code == 404


async def test_a_region_registered_over_one_transport_is_there_over_the_other(
    rest: httpx.AsyncClient, stub: GRPCInferenceServiceStub, memory: Memory
) -> None:
    await RestDoor(rest).register("mine", memory.name, SIZE)
    of = {"a": place(0, 12), "b": place(0, 12)}
    assert set(await GrpcDoor(stub).infer("sum", Asked(FROM_REGION, of=of))) == {"total"}


# --- the registry itself --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine").write_bytes(bytes(SIZE))
    return tmp_path


def regions_of(folder: Path, user: Callable[[Caller], int | None] = lambda _: ROOT) -> Regions:
    return Regions(folder, user)


def status(name: str = "r", key: str = "mine", offset: int = 0, byte_size: int = SIZE) -> RegionStatus:
    return RegionStatus(name, key, offset, byte_size)


def open_files() -> int:
    gc.collect()  # what an earlier test left in a circle may be closed at any moment
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_region_stays_open_until_the_last_request_that_uses_it_has_ended(folder: Path) -> None:
    regions, before = regions_of(folder), open_files()
    regions.register(status(), HERE)
    with regions.lent(FROM_REGION, {"a": RegionPart("r", 4, 12)}, {"total": RegionPart("r", 0, 12)}, HERE) as lent:
        (a, b), into = lent
        regions.unregister("r", HERE)
        assert a.place is not None
        assert (os.pread(a.place.fd, 4, 0), a.nbytes, b.place) == (bytes(4), 12, None)
        assert into == {"total": Place(a.place.fd, 0, 12)}
    assert open_files() == before


def test_what_is_refused_leaves_nothing_open(folder: Path) -> None:
    regions, before = regions_of(folder), open_files()
    with pytest.raises(BadRequest):
        regions.register(status(byte_size=SIZE + 1), HERE)
    regions.register(status(), HERE)
    for part in (RegionPart("r", SIZE, 1), RegionPart("other", 0, 1)):
        with pytest.raises((BadRequest, UnknownRegion)), regions.lent(FROM_REGION, {"a": part}, {}, HERE):
            pass
    regions.close()
    assert open_files() == before


def test_regions_are_bounded(folder: Path) -> None:
    regions = regions_of(folder)
    for number in range(MAX_REGIONS):
        regions.register(status(f"r{number}"), HERE)
    with pytest.raises(Conflict, match="unregister some"):
        regions.register(status("one more"), HERE)
    regions.close()


def test_a_caller_whose_user_the_kernel_does_not_tell_gets_nothing(folder: Path) -> None:
    with pytest.raises(Forbidden, match="does not say whose"):
        regions_of(folder, lambda _: None).register(status(), HERE)
    with pytest.raises(Forbidden, match="callers on this box"):
        regions_of(folder).register(status(), None)


@pytest.mark.parametrize(
    ("mode", "user", "wanted"),
    [
        (0o600, ANN, True),
        (0o600, BOB, False),
        (0o600, ROOT, True),
        (0o666, BOB, True),
        (0o644, BOB, False),
        (0o622, BOB, False),
        (0o660, BOB, False),  # his groups are not known
        (0o400, ANN, False),
    ],
)
def test_memory_is_for_its_owner_and_whom_it_is_open_to(mode: int, user: int, wanted: bool) -> None:
    assert may_use(stat.S_IFREG | mode, ANN, user) is wanted


def test_a_user_sees_and_drops_his_own_regions(folder: Path) -> None:
    (folder / "mine").chmod(0o666)
    users = iter([ANN, BOB, ANN, ANN, BOB, ROOT])
    regions = regions_of(folder, lambda _: next(users))
    regions.register(status("ann"), HERE)
    regions.register(status("bob"), HERE)
    assert [each.name for each in regions.status("", HERE)] == ["ann"]
    regions.unregister("", HERE)
    assert [each.name for each in regions.status("", HERE)] == ["bob"]
    assert [each.name for each in regions.status("", HERE)] == ["bob"]
    regions.close()


def test_shared_memory_has_its_names_in_dev_shm() -> None:
    assert Path("/dev/shm") == shared_memory.FOLDER
