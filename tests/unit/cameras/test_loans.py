"""Files and names that the agent opens and resolves for its workers: what a camera's source names, and nothing else."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from agent.cameras import lender
from agent.cameras.lender import Lender, fetched
from agent.cameras.loans import OWN_HANDS, Borrowed, Borrower, at_address
from agent.cameras.messages import Ask, Lent
from agent.cameras.source import Reason, SourceLost
from agent.cameras.source_av import FileSource, RtspSource
from agent.cameras.spec import Device, File, Rtsp, Source
from protos.ids import CameraName

QUAY, GATE = CameraName("quay"), CameraName("gate")


@dataclass(frozen=True)
class Told:
    name: CameraName
    spoken: Source


class Elsewhere:
    """Loans that resolve every name to one address, and count."""

    def __init__(self, address: str = "192.0.2.7") -> None:
        self.place = address
        self.asked: list[str] = []

    def file(self, path: str) -> int:
        return OWN_HANDS.file(path)

    def address(self, host: str) -> str:
        self.asked.append(host)
        return self.place


class Silent:
    """An agent that does not answer in time."""

    def file(self, path: str) -> int:
        raise TimeoutError

    def address(self, host: str) -> str:
        raise TimeoutError


# ---- the worker's side ----


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://u%40x:p%2Fw@camera.local/a?b=c@d", "rtsp://u%40x:p%2Fw@192.0.2.7/a?b=c@d"),
        ("rtsp://CAMERA.local:8554/a//b", "rtsp://192.0.2.7:8554/a//b"),
        ("rtsps://camera", "rtsps://192.0.2.7"),
        ("rtsp://127.0.0.1:554/x", "rtsp://127.0.0.1:554/x"),
        ("rtsp://[::1]:554/x", "rtsp://[::1]:554/x"),
    ],
)
def test_the_address_takes_the_place_of_the_name_and_of_nothing_else(url: str, expected: str) -> None:
    assert at_address(url, Elsewhere()) == expected


def test_an_address_of_six_stands_in_brackets() -> None:
    assert at_address("rtsp://u:p@camera:554/x", Elsewhere("fd00::5")) == "rtsp://u:p@[fd00::5]:554/x"


def test_a_borrower_asks_by_its_name_and_gets_what_was_lent(tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(b"clip")
    said: list[msgspec.Struct] = []

    def say(message: msgspec.Struct) -> None:
        said.append(message)
        assert isinstance(message, Ask)
        borrower.lent(Lent(message.call), [os.open(tmp_path / "clip", os.O_RDONLY)])

    borrower = Borrower(say)
    fd = Borrowed("quay", borrower).file("/etc/shadow")
    assert os.pread(fd, 9, 0) == b"clip"
    os.close(fd)
    assert said == [Ask(1, "quay")]


def test_what_the_system_said_to_the_agent_is_said_to_the_source() -> None:
    def say(message: msgspec.Struct) -> None:
        assert isinstance(message, Ask)
        borrower.lent(Lent(message.call, error=errno.EACCES), [])

    borrower = Borrower(say)
    with pytest.raises(PermissionError):
        borrower.ask("quay")


def test_an_answer_that_comes_too_late_leaves_no_descriptor() -> None:
    borrower = Borrower(lambda _: None, patience=0.0)
    with pytest.raises(TimeoutError):
        borrower.ask("quay")
    fd = os.open("/", os.O_RDONLY)
    borrower.lent(Lent(1), [fd])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (FileSource(File("/srv/clip.mp4"), Silent()), Reason.HUNG),
        (RtspSource(Rtsp("rtsp://camera/x"), Silent()), Reason.UNREACHABLE),
    ],
)
def test_an_agent_that_cannot_answer_is_what_its_camera_says(source: FileSource | RtspSource, reason: Reason) -> None:
    with pytest.raises(SourceLost) as caught:
        source.open()
    assert caught.value.reason is reason


# ---- the agent's side ----


def test_a_file_is_lent_from_its_start_and_for_reading(tmp_path: Path) -> None:
    path = tmp_path / "clip"
    path.write_bytes(b"clip")
    message, (fd,) = fetched(File(str(path)), 7, 1)
    assert (message, os.read(fd, 9)) == (Lent(7), b"clip")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(fd, b"x")
    os.close(fd)


def test_only_plain_files_are_lent_with_a_sandbox_or_without(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, number in ((tmp_path, errno.EISDIR), (tmp_path / "pipe", errno.ENODEV), (tmp_path / "x", errno.ENOENT)):
        assert fetched(File(str(path)), 1, 1) == (Lent(1, error=number), [])
        with pytest.raises(OSError, match=str(path)) as refusal:
            OWN_HANDS.file(str(path))
        assert refusal.value.errno == number
    assert fetched(Device("/dev/zero"), 1, 1) == (Lent(1, error=errno.EACCES), [])


def test_a_host_of_several_addresses_is_tried_at_each_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fd00::5", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    source = Rtsp("rtsp://u:p@camera/x")
    assert [fetched(source, 1, turn)[0].address for turn in (1, 2, 3)] == ["192.0.2.7", "fd00::5", "192.0.2.7"]


def test_a_name_that_nobody_knows_is_unreachable() -> None:
    assert fetched(Rtsp("rtsp://no-such-host.invalid/x"), 1, 1) == (Lent(1, error=errno.EHOSTUNREACH), [])
    assert fetched(Rtsp(f"rtsp://{'a' * 70}.example/x"), 1, 1) == (Lent(1, error=errno.EHOSTUNREACH), [])


async def test_a_worker_gets_nothing_of_a_camera_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(b"clip")
    given: asyncio.Queue[tuple[Lent, str]] = asyncio.Queue()

    def give(message: Lent, fds: Sequence[int]) -> None:
        given.put_nowait((message, os.pread(fds[0], 9, 0).decode()))

    own, other = Told(QUAY, File(str(tmp_path / "clip"))), Told(GATE, File("/etc/hostname"))
    lending = Lender()
    lending.asked(Ask(1, other.name), [own], give)
    lending.asked(Ask(2, own.name), [own], give)
    assert await given.get() == (Lent(2), "clip")
    assert given.empty()


async def test_a_camera_whose_wish_hangs_is_told_so_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, given = threading.Event(), asyncio.Queue[Lent]()

    def slow(path: str) -> int:
        if path == "/slow":
            hangs.wait()
        raise FileNotFoundError(errno.ENOENT, path)

    monkeypatch.setattr(lender, "opened", slow)
    lending = Lender()
    lending.asked(Ask(1, QUAY), [Told(QUAY, File("/slow"))], lambda message, _: given.put_nowait(message))
    lending.asked(Ask(2, QUAY), [Told(QUAY, File("/slow"))], lambda message, _: given.put_nowait(message))
    lending.asked(Ask(3, GATE), [Told(GATE, File("/fast"))], lambda message, _: given.put_nowait(message))
    assert await given.get() == Lent(2, error=errno.ETIMEDOUT)
    assert await given.get() == Lent(3, error=errno.ENOENT)
    hangs.set()
    assert await given.get() == Lent(1, error=errno.ENOENT)
