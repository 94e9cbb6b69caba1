"""FrameSource: one body for every adapter; the RTSP one talks to a real server, the device one to a real device."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from agent.cameras import demo_clip
from agent.cameras.access_units import TRUSTED
from agent.cameras.source import CONNECT_SECONDS, STALL_SECONDS, FrameSource, Reason, Shot, SourceLost
from agent.cameras.source_av import DeviceSource, FileSource, RtspSource
from agent.cameras.source_synthetic import SyntheticSource
from agent.cameras.spec import Device, File, Rtsp, Synthetic
from agent.types import ModelInput
from tests.servers.ports import free_port, wait_for
from tests.servers.rtsp import SCRIPT, RtspServer
from tests.sim import rtsp_door

RATE = 10.0
DEVICES = sorted(Path("/dev").glob("video*"))


@dataclass
class Bench:
    """An adapter under test."""

    make: Callable[[], FrameSource]
    ts_source: str


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    demo_clip.write(path, seconds=1.5)
    return path


@pytest.fixture(
    params=[
        "synthetic",
        "file",
        pytest.param("rtsp", marks=pytest.mark.rtsp),
        "device",
    ]
)
def bench(request: pytest.FixtureRequest, clip: Path) -> Bench:
    match request.param:
        case "synthetic":
            return Bench(lambda: SyntheticSource(Synthetic("harbour", 3), RATE), "clock")
        case "file":
            return Bench(lambda: FileSource(File(str(clip))), "clock")
        case "rtsp":
            server = request.getfixturevalue("rtsp_factory")(clip)
            return Bench(lambda: RtspSource(Rtsp(server.url)), "arrival")
        case _:
            if not DEVICES:
                pytest.skip("no V4L2 device on this machine; plug a camera in to run it")
            return Bench(lambda: DeviceSource(Device(str(DEVICES[0]))), "arrival")


@pytest.fixture
def source(bench: Bench) -> Iterator[FrameSource]:
    source = bench.make()
    source.open()
    yield source
    source.close()


def read(source: FrameSource, count: int) -> list[Shot]:
    return [source.read() for _ in range(count)]


def test_pictures_come_with_growing_times_that_are_not_in_the_future(source: FrameSource, bench: Bench) -> None:
    last = (-1.0, 0.0)
    for _ in range(5):
        shot = source.read()
        assert (shot.stream_time, shot.captured) > last
        assert shot.captured <= time.monotonic()
        assert abs(shot.captured_unix_ns / 1e9 - time.time()) < 5
        assert shot.ts_source == bench.ts_source
        last = (shot.stream_time, shot.captured)


def test_pictures_come_at_the_pace_of_the_stream(source: FrameSource) -> None:
    source.read()
    first, *_, last = read(source, 11)
    assert last.captured - first.captured == pytest.approx(last.stream_time - first.stream_time, abs=0.15)


def test_a_picture_fits_a_model_and_outlives_its_source(bench: Bench) -> None:
    source = bench.make()
    source.open()
    picture = source.read().picture
    source.close()
    out = np.empty((320, 320, 3), np.uint8)
    geometry = picture.fit(ModelInput(320, 320), out)
    assert (geometry.picture_width, geometry.picture_height) == (picture.width, picture.height)
    assert out.std() > 10
    small = picture.rgb(160)
    assert max(small.shape[:2]) == min(160, max(picture.width, picture.height))


def test_a_source_opens_again_after_it_was_closed(bench: Bench) -> None:
    source = bench.make()
    for _ in range(2):
        source.open()
        source.read()
        source.close()
        source.close()


def test_a_source_that_never_opened_reads_nothing_and_closes(bench: Bench) -> None:
    source = bench.make()
    with pytest.raises(SourceLost):
        source.read()
    source.close()


def test_an_interrupted_read_ends_soon(source: FrameSource) -> None:
    source.read()
    threading.Timer(0.05, source.interrupt).start()
    started = time.monotonic()
    with pytest.raises(SourceLost):
        read(source, 1000)
    assert time.monotonic() - started < STALL_SECONDS + 0.5


# ---- what each kind can do wrong ----


def lost(source: FrameSource) -> SourceLost:
    try:
        source.open()
        read(source, 1000)
    except SourceLost as error:
        return error
    finally:
        source.close()
    raise AssertionError("the source works")


def test_a_file_goes_on_across_its_loop_without_going_back(clip: Path) -> None:
    source = FileSource(File(str(clip)))
    source.open()
    times = [shot.stream_time for shot in read(source, 34)]
    source.close()
    steps = np.diff(times)
    assert steps.min() == pytest.approx(0.1, abs=0.02)
    assert steps.max() == pytest.approx(0.1, abs=0.02)


def test_a_file_that_is_not_a_video_is_unsupported(tmp_path: Path) -> None:
    for name, content in (("a.mp4", b"this is text, not a video"), ("b.mp4", b""), ("c.mp4", bytes(100_000))):
        (tmp_path / name).write_bytes(content)
        assert lost(FileSource(File(str(tmp_path / name)))).reason is Reason.UNSUPPORTED


def test_a_truncated_video_is_unsupported(clip: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[:300])
    assert lost(FileSource(File(str(cut)))).reason is Reason.UNSUPPORTED


def test_a_file_cannot_lead_elsewhere(clip: Path, tmp_path: Path) -> None:
    for name, content in (
        ("a.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{clip}\n#EXT-X-ENDLIST\n"),
        ("a.ffconcat", f"ffconcat version 1.0\nfile '{clip}'\n"),
        ("a.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"),
    ):
        (tmp_path / name).write_text(content)
        assert lost(FileSource(File(str(tmp_path / name)))).reason is Reason.UNSUPPORTED


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    assert lost(FileSource(File(str(tmp_path / "none.mp4")))).reason is Reason.NOT_FOUND
    assert lost(FileSource(File(str(tmp_path)))).reason is Reason.NOT_FOUND


def test_a_device_that_is_not_there_is_not_found() -> None:
    assert lost(DeviceSource(Device("/dev/video97"))).reason is Reason.NOT_FOUND


def test_a_camera_nobody_listens_at_is_refused() -> None:
    assert lost(RtspSource(Rtsp(f"rtsp://127.0.0.1:{free_port()}/a"))).reason is Reason.REFUSED


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_camera_that_accepts_and_says_nothing_is_given_up(silent_port: int) -> None:
    started = time.monotonic()
    assert lost(RtspSource(Rtsp(f"rtsp://127.0.0.1:{silent_port}/a"))).reason is Reason.UNREACHABLE
    assert time.monotonic() - started < CONNECT_SECONDS + 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbad",
        b"HTTP/1.0 501 Unsupported method ('OPTIONS')\r\nServer: SimpleHTTP\r\n\r\n<html>",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"",
    ],
)
def test_what_answers_and_speaks_no_rtsp_is_told_as_that_and_no_codec_is_blamed(answer: bytes) -> None:
    with rtsp_door.stranger(answer) as port:
        assert lost(RtspSource(Rtsp(f"rtsp://127.0.0.1:{port}/x"))).reason is Reason.NO_RTSP


@pytest.mark.rtsp
def test_a_camera_that_goes_away_ends_and_comes_back(rtsp_factory: Callable[[Path], RtspServer], clip: Path) -> None:
    server = rtsp_factory(clip)
    source = RtspSource(Rtsp(server.url))
    source.open()
    source.read()
    server.stop()
    with pytest.raises(SourceLost) as caught:
        read(source, 1000)
    assert caught.value.reason in (Reason.ENDED, Reason.STALLED)
    source.close()
    server.start()
    source.open()
    source.read()
    source.close()


@pytest.mark.rtsp
def test_a_camera_that_hangs_is_seen_as_stalled(rtsp_factory: Callable[[Path], RtspServer], clip: Path) -> None:
    server = rtsp_factory(clip)
    assert server.process
    source = RtspSource(Rtsp(server.url))
    source.open()
    source.read()
    server.process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(SourceLost) as caught:
        read(source, 1000)
    waited = time.monotonic() - started
    server.stop()
    source.close()
    assert caught.value.reason is Reason.STALLED
    assert waited < STALL_SECONDS + 1


@pytest.mark.rtsp
def test_a_path_the_camera_does_not_have_is_not_found(rtsp_factory: Callable[[Path], RtspServer], clip: Path) -> None:
    server = rtsp_factory(clip)
    assert lost(RtspSource(Rtsp(server.url + "-other"))).reason is Reason.NOT_FOUND


@pytest.mark.rtsp
def test_wrong_credentials_are_named_and_never_repeated(
    rtsp_factory: Callable[[Path], RtspServer],
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LONGSHORE_RTSP_PASSWORD", "right-pass")
    port = free_port()
    server = subprocess.Popen(
        ["/usr/bin/python3", str(SCRIPT), "--clip", str(clip), "--port", str(port), "--user", "admin"]
    )
    wait_for(port, server)
    try:
        error = lost(RtspSource(Rtsp(f"rtsp://admin:wr0ng-pass@127.0.0.1:{port}/harbour")))
        source = RtspSource(Rtsp(f"rtsp://admin:right-pass@127.0.0.1:{port}/harbour"))
        source.open()
        source.read()
        source.close()
    finally:
        server.kill()
        server.wait()
    assert error.reason is Reason.AUTH_FAILED
    assert error.__cause__ is None
    printed = capfd.readouterr()
    for text in (str(error), repr(error), printed.out, printed.err):
        assert "-pass" not in text


@pytest.mark.rtsp
def test_pictures_of_a_steady_camera_are_not_held_back(rtsp_factory: Callable[[Path], RtspServer], clip: Path) -> None:
    source = RtspSource(Rtsp(rtsp_factory(clip).url))
    source.open()
    read(source, TRUSTED + 5)
    waits = []
    for _ in range(20):
        shot = source.read()
        waits.append(time.monotonic() - shot.captured)
    source.close()
    assert sorted(waits)[10] < 0.5 / RATE  # FFmpeg's own parser would hold each back for a whole frame time
