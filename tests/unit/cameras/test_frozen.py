"""A stream that goes on with the same picture: a notice, and never about a scene that is still."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from agent.cameras import spec
from agent.cameras.frozen import FROZEN_SECONDS, Frozen
from agent.cameras.loop import Camera
from agent.cameras.messages import HealthChanged
from agent.cameras.picture import RgbPicture
from agent.cameras.source import FrameSource, Picture, Reason, Shot, SourceLost
from agent.cameras.spec import CameraSpec
from agent.types import CameraState
from tests.sim.yard import PATIENCE

STILL = RgbPicture(np.full((4, 4, 3), 90, np.uint8))


def noticed(pictures: Iterator[int]) -> list[float]:
    """The seconds, ten pictures in each, at which a stream of these digests is called frozen."""
    frozen, found = Frozen(), []
    for number, digest in enumerate(pictures):
        now = number / 10
        if frozen.wants(now) and frozen.is_frozen(digest, now):
            found.append(now)
    return found


def test_a_minute_of_one_picture_is_frozen() -> None:
    assert noticed(1 for _ in range(700))[0] == pytest.approx(FROZEN_SECONDS, abs=1.1)


def test_one_other_picture_a_minute_is_none() -> None:
    assert noticed(number // 590 for number in range(6000)) == []


def test_noise_is_none() -> None:
    chance = random.Random(1)
    assert noticed(chance.getrandbits(32) for _ in range(6000)) == []


def test_a_picture_that_moves_again_is_none_any_more() -> None:
    found = noticed(iter([1] * 700 + list(range(700))))
    assert found[-1] < 71


def test_pictures_have_one_digest_while_no_pixel_differs() -> None:
    other = STILL.pixels.copy()
    assert RgbPicture(other).digest() == STILL.digest()
    other[2, 2, 1] += 1
    assert RgbPicture(other).digest() != STILL.digest()


class Still:
    """A source of one picture and as many seconds as it has, two a second."""

    resting = False

    def __init__(self, ts_source: str, picture: Picture = STILL) -> None:
        self._ts_source = ts_source
        self._picture = picture
        self._at = 0.0
        self.shown = threading.Event()
        self._over = threading.Event()

    def open(self) -> None: ...

    def read(self) -> Shot:
        self._at += 0.5
        if self._at > FROZEN_SECONDS + 5:
            self.shown.set()
            self._over.wait(PATIENCE)
            raise SourceLost(Reason.ENDED)
        return Shot(self._picture, self._at, self._at, 0, self._ts_source, 0.0)

    def pace(self, rate: float) -> None: ...

    def interrupt(self) -> None:
        self._over.set()

    def close(self) -> None: ...


def health_of(source: Still) -> HealthChanged:
    said: list[msgspec.Struct] = []

    def sources(_: CameraSpec) -> FrameSource:
        return source

    camera = Camera("quay", said.append, 0, sources)
    camera.configure(spec.parse("quay", "rtsp://camera/live", 2), paused=False)
    assert source.shown.wait(PATIENCE)
    camera.end()
    return [word for word in said if isinstance(word, HealthChanged)][-1]


@pytest.mark.parametrize("ts_source", ["arrival", "rtcp"])
def test_a_camera_that_is_frozen_says_so_and_runs_on(ts_source: str) -> None:
    health = health_of(Still(ts_source))
    assert health.state is CameraState.RUNNING
    assert health.reason.startswith("frozen: ")
    assert health.restarts == 0


def test_a_still_scene_of_a_file_is_not_called_frozen() -> None:
    assert health_of(Still("clock")).reason == ""
