"""RTSP cameras that change, lose, garble and say nothing, or whose clock is wrong: a real server behind a bad link."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.cameras import source_av
from agent.cameras.source import STALL_SECONDS, FrameSource, Reason, Shot, SourceLost
from agent.cameras.source_av import RtspSource
from agent.cameras.spec import Rtsp
from tests.servers.rtsp import RtspServer, filmed
from tests.sim.clips import write_clip
from tests.sim.rtsp_link import RtspLink, linked

pytestmark = [pytest.mark.rtsp, pytest.mark.usefixtures("rtsp_factory")]  # which says what is missing

CODECS = {"h264": ("libx264", "mp4"), "h265": ("libx265", "mp4"), "mjpeg": ("mjpeg", "avi")}
YEAR_AGO = -400 * 86_400


def clip(folder: Path, codec: str, size: tuple[int, int] = (200, 120)) -> Path:
    coder, ending = CODECS[codec]
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    return write_clip(folder / f"{codec}-{size[0]}.{ending}", size=size, codec=coder, pixels=pixels)


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    """Of one size and codec, for tests that do not stop it."""
    with filmed(clip(tmp_path_factory.mktemp("film"), "h264")) as server:
        yield server


@pytest.fixture
def link(camera: RtspServer) -> Iterator[RtspLink]:
    with linked(camera.port) as link:
        yield link


@pytest.fixture
def opened() -> Iterator[Callable[[str], FrameSource]]:
    sources = []

    def open_(url: str) -> FrameSource:
        source = RtspSource(Rtsp(url))
        sources.append(source)
        source.open()
        return source

    yield open_
    for source in sources:
        source.close()


def lost(source: FrameSource) -> Reason:
    with pytest.raises(SourceLost) as caught:
        read(source, 1000)
    return caught.value.reason


def read(source: FrameSource, count: int) -> list[Shot]:
    return [source.read() for _ in range(count)]


def until(source: FrameSource, wanted: Callable[[Shot], bool], pictures: int = 100) -> Shot:
    return next(shot for shot in (source.read() for _ in range(pictures)) if wanted(shot))


@pytest.mark.parametrize("codec", CODECS)
def test_every_usual_codec_is_seen_and_may_change_its_size_while_it_runs(
    codec: str, tmp_path: Path, opened: Callable[[str], FrameSource]
) -> None:
    with filmed(clip(tmp_path, codec), clip(tmp_path, codec, (320, 240)), codec=codec) as server:
        source = opened(server.url)
        sizes = {(shot.picture.width, shot.picture.height) for shot in read(source, 18)}
    assert sizes == {(200, 120), (320, 240)}


def test_a_camera_that_is_set_to_another_codec_is_seen_again_in_the_next_try(tmp_path: Path) -> None:
    before = RtspServer(clip(tmp_path, "h264"))
    before.start()
    source = RtspSource(Rtsp(before.url))
    source.open()
    source.read()
    before.stop()
    assert lost(source) is Reason.ENDED
    source.close()
    after = RtspServer(before.clip, before.port, (clip(tmp_path, "h265"),), "h265")
    after.start()
    source.open()
    source.read()
    source.close()
    after.stop()


def test_lost_pieces_cost_pictures_and_never_the_stream(link: RtspLink, opened: Callable[[str], FrameSource]) -> None:
    source = opened(link.url)
    link.loss = 0.3
    read(source, 20)
    assert link.visits == 1


def test_pictures_that_nothing_can_decode_are_told_from_none(
    link: RtspLink, opened: Callable[[str], FrameSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_av, "KEY_SECONDS", 1.0)
    source = opened(link.url)
    source.read()
    link.garbled = True
    assert lost(source) is Reason.UNSUPPORTED


def test_a_stream_without_pictures_is_waited_for_longer_than_one_without_a_word(
    tmp_path: Path, opened: Callable[[str], FrameSource]
) -> None:
    with filmed(clip(tmp_path, "h265"), codec="h265") as server, linked(server.port) as link:
        source = opened(link.url)
        source.read()
        link.garbled = True
        threading.Timer(STALL_SECONDS + 0.4, setattr, (link, "garbled", False)).start()
        until(source, lambda _: not link.garbled)
        assert link.visits == 1


def test_a_network_that_falls_silent_is_a_stall_within_two_seconds(
    link: RtspLink, opened: Callable[[str], FrameSource]
) -> None:
    source = opened(link.url)
    source.read()
    link.silent = True
    started = time.monotonic()
    assert lost(source) is Reason.STALLED
    assert time.monotonic() - started < 2.0 + 0.5  # what a busy machine adds


def test_with_sender_reports_times_are_steadier_than_arrivals_and_a_wrong_clock_does_not_matter(
    link: RtspLink, opened: Callable[[str], FrameSource]
) -> None:
    link.wrong_by = YEAR_AGO
    link.seconds = 0.09
    source = opened(link.url)
    until(source, lambda shot: shot.ts_source == "rtcp")
    arrived, captured = [], []
    for _ in range(30):
        shot = source.read()
        assert shot.ts_source == "rtcp"
        assert shot.captured <= time.monotonic()
        arrived.append(time.monotonic() - shot.stream_time)
        captured.append(shot.captured - shot.stream_time)
    assert statistics.pstdev(captured) < statistics.pstdev(arrived) / 2
    assert abs(shot.captured_unix_ns / 1e9 - time.time()) < 1.0
