"""User, password and tokens of a camera: used as they were meant, and in nothing that anybody reads."""

from __future__ import annotations

import base64
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent import report
from agent.cameras.source import Reason, SourceLost
from agent.cameras.source_av import RtspSource
from agent.cameras.spec import Rtsp, parse_source
from agent.report import Addresses, Box
from agent.telemetry.metrics import Metrics
from agent.types import CameraState
from tests.servers.ports import free_port
from tests.sim import rtsp_door
from tests.sim.yard import Yard, plan, tap

USER, PASSWORD, TOKEN = "oper@tor", "p@ss:w/rd", "t0ken-word"
LOGIN = "oper%40tor:p%40ss%3Aw%2Frd"
SECRETS = {
    USER,
    PASSWORD,
    TOKEN,
    "oper%40tor",
    "p%40ss",
    "p@ss",
    base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
}


def source(host: str) -> str:
    return f"rtsp://{LOGIN}@{host}/live/token={TOKEN}?auth={TOKEN}"


def test_a_percent_encoded_login_reaches_the_camera_decoded() -> None:
    with rtsp_door.opened("404 Not Found") as door:
        parsed = parse_source(f"rtsp://{LOGIN}@127.0.0.1:{door.port}/live")
        assert isinstance(parsed, Rtsp)
        with pytest.raises(SourceLost) as caught:
            RtspSource(parsed).open()
    assert set(door.told) == {(USER, PASSWORD)}
    assert caught.value.reason is Reason.NOT_FOUND


def _nowhere(_: ExitStack) -> str:
    return "no-such-host.invalid"


def _refused(_: ExitStack) -> str:
    return f"127.0.0.1:{free_port()}"


def _closed(stack: ExitStack) -> str:
    door = stack.enter_context(rtsp_door.opened())
    return f"127.0.0.1:{door.port}"


def _gone(stack: ExitStack) -> str:
    door = stack.enter_context(rtsp_door.opened("404 Not Found"))
    return f"127.0.0.1:{door.port}"


def _broken(stack: ExitStack) -> str:
    door = stack.enter_context(rtsp_door.opened("500 Internal Server Error"))
    return f"127.0.0.1:{door.port}"


def _silent(stack: ExitStack) -> str:
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize(
    ("where", "word"),
    [
        (_nowhere, "unreachable"),
        (_refused, "refused"),
        (_closed, "auth failed"),
        (_gone, "not found"),
        (_broken, "unreachable"),
        (_silent, "unreachable"),
    ],
)
async def test_a_camera_that_cannot_be_reached_says_why_and_nothing_of_its_login(
    where: Callable[[ExitStack], str],
    word: str,
    stack: ExitStack,
    yard: Yard,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    await yard.apply(plan("quay", source(where(stack))))
    await yard.until(lambda: yard.state("quay") is CameraState.RETRYING)
    assert yard.health["quay"][-1].reason.startswith(word)
    assert _leaks(yard, caplog, capfd) == []


@pytest.mark.parametrize("host", ["host:banana", "[::1", "", "host/#", "host/ "])
async def test_a_refused_source_is_named_without_its_login(
    host: str, yard: Yard, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    await yard.apply(plan("gate"))
    await yard.frames(tap("gate"), 1)
    await yard.apply(plan("gate", source(host)))
    assert yard.captures.stats()[plan("gate").name].refused
    assert _leaks(yard, caplog, capfd) == []


def _leaks(yard: Yard, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Whatever of the secrets is in something that leaves the cameras."""
    stats = yard.captures.stats()
    told = report.request(Box("edge", "boot", Path("/"), Addresses(), ()), "epoch", [], stats, [])
    metrics = Metrics("1", "box-1")
    for name, each in stats.items():
        metrics.camera(name, each.state, each.frames_per_second)
    said = [repr(stats), repr(yard.health), str(told), str(metrics.render()), caplog.text, *capfd.readouterr()]
    assert "quay" in caplog.text or "gate" in caplog.text, "something was logged"
    return [secret for secret in SECRETS for text in said if secret in text]
