"""An open event stream ends with the right to read it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controlplane.errors import Unauthenticated
from controlplane.fleet.looking import Looking
from controlplane.identity.domain import SESSION_SECONDS
from controlplane.identity.roles import Role
from controlplane.ui import stream as ui
from controlplane.ui.live import Live
from controlplane.ui.page import View
from controlplane.ui.stream import RECHECK_SECONDS, EventStream
from protos.errors import LongshoreError, Retryable
from tests.sim.control_plane import SimBrowser, SimControlPlane

TOKEN_SECONDS = 3600


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn of a stream tells values, and none waits."""
    monkeypatch.setattr(ui, "PICTURE_SECONDS", 0.0)
    monkeypatch.setattr(ui, "VALUES_SECONDS", 0.0)


class SimStream:
    """A stream on a clock that moves half a second at each look."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked = 0
        self.role = Role.ADMIN
        self.told: list[str] = []
        self.refusal: LongshoreError | None = None
        live = Live(lambda: View("fleet.html", "Fleet", "fleet"))
        self._events = EventStream(live, Looking(), Role.ADMIN, self._admit, self._clock).events()

    def _clock(self) -> float:
        self.now += 0.5
        return self.now

    def _admit(self) -> Role:
        self.asked += 1
        if self.refusal is not None:
            raise self.refusal
        return self.role

    async def read(self, seconds: float) -> bool:
        """Whether it still goes on after these."""
        until = self.now + seconds
        while self.now < until:
            event = await anext(self._events, None)
            if event is None:
                return False
            self.told.append(event)
        return True


async def test_who_reads_a_stream_is_looked_at_every_half_minute() -> None:
    stream = SimStream()
    assert await stream.read(4.5 * RECHECK_SECONDS)
    assert stream.asked == 4


async def test_a_stream_ends_within_half_a_minute_of_its_readers_right() -> None:
    stream = SimStream()
    assert await stream.read(1.5 * RECHECK_SECONDS)
    stream.refusal = Unauthenticated("you are signed out")
    assert not await stream.read(RECHECK_SECONDS)


async def test_a_stream_outlives_a_hiccup_of_the_database() -> None:
    stream = SimStream()
    stream.refusal = Retryable("the database is away")
    assert await stream.read(3 * RECHECK_SECONDS)


async def test_a_page_is_rendered_again_when_its_reader_gets_another_role() -> None:
    stream = SimStream()
    assert await stream.read(1.5 * RECHECK_SECONDS)
    stream.role = Role.VIEWER
    assert await stream.read(RECHECK_SECONDS)
    shapes = [event for event in stream.told if event.startswith("event: shape")]
    assert [shape.strip().rpartition("-")[2] for shape in shapes] == ['admin"', 'viewer"']


# ---- over HTTP ----


def with_session(plane: SimControlPlane) -> SimBrowser:
    browser = plane.browser({})
    assert browser.post("/signin", data={"code": plane.identity.create_sign_in_code().text}).status_code == 303
    return browser


def with_token(plane: SimControlPlane) -> tuple[SimBrowser, str]:
    token = plane.identity.create_api_token("reader", TOKEN_SECONDS)
    return plane.browser({"Authorization": f"Bearer {token.text}"}), token.id


def signed_out(plane: SimControlPlane) -> tuple[SimBrowser, Callable[[], None]]:
    browser = with_session(plane)
    return browser, lambda: plane.identity.sign_out(next(iter(browser.cookies.values())))


def session_expired(plane: SimControlPlane) -> tuple[SimBrowser, Callable[[], None]]:
    return with_session(plane), lambda: plane.clock.tick(SESSION_SECONDS + 1)


def token_deleted(plane: SimControlPlane) -> tuple[SimBrowser, Callable[[], None]]:
    browser, token = with_token(plane)
    return browser, lambda: plane.identity.delete_api_token(token)


def token_expired(plane: SimControlPlane) -> tuple[SimBrowser, Callable[[], None]]:
    return with_token(plane)[0], lambda: plane.clock.tick(TOKEN_SECONDS + 1)


@pytest.mark.parametrize("way", [signed_out, session_expired, token_deleted, token_expired])
def test_the_right_to_read_ends_in_each_of_its_ways(
    plane: SimControlPlane,
    monkeypatch: pytest.MonkeyPatch,
    way: Callable[[SimControlPlane], tuple[SimBrowser, Callable[[], None]]],
) -> None:
    browser, end = way(plane)
    turns = [0]

    async def changed(_looking: Looking, _seconds: float) -> bool:
        turns[0] += 1
        if turns[0] == 3:
            end()
        if turns[0] > 10:
            raise RuntimeError("the stream goes on")
        return True

    monkeypatch.setattr(ui, "RECHECK_SECONDS", 0.0)
    monkeypatch.setattr(Looking, "changed", changed)
    answer = browser.get("/api/v1/events/stream?page=/")
    assert (answer.status_code, turns) == (200, [3])
    assert answer.text.startswith("event: shape")


def test_a_stream_for_no_page_is_refused(plane: SimControlPlane) -> None:
    assert plane.client.get("/api/v1/events/stream?page=/nowhere").status_code == 404
