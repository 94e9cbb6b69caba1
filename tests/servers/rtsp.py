"""Debian's GStreamer RTSP server, serving a clip in a loop without re-encoding, under the system's Python."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers.ports import free_port, wait_for
from tests.servers.require import dies_with_us, missing, program

SCRIPT = Path(__file__).parents[2] / "controlplane" / "up" / "rtsp_server.py"
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
FILM = Path(__file__).with_name("rtsp_film.py")
_PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


@dataclass
class RtspServer:
    """One server process for one clip; a test may stop it and start it again on the same port."""

    clip: Path
    port: int = field(default_factory=free_port)
    film: tuple[Path, ...] = ()  # played instead of the clip, in this codec
    codec: str = "h264"
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/harbour"

    def start(self) -> None:
        arguments = [str(SCRIPT), "--clip", str(self.clip), "--port", str(self.port), "--path", "/harbour"]
        if self.film:
            arguments = [str(FILM), "--codec", self.codec, "--port", str(self.port), *map(str, self.film)]
        python = program("python3", "python3", Path("/usr/bin"))
        command = dies_with_us([python, *arguments])
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_for(self.port, self.process)

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def filmed(*clips: Path, codec: str = "h264") -> Iterator[RtspServer]:
    """A server that plays these clips, one after another."""
    server = RtspServer(clips[0], film=clips, codec=codec)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def rtsp_factory() -> Iterator[Callable[[Path], RtspServer]]:
    """Start a server for a clip: `rtsp_factory(clip).url`."""
    python = program("python3", "python3", Path("/usr/bin"))
    if subprocess.run([python, "-c", _PROBE], capture_output=True, check=False).returncode:
        missing("GStreamer's RTSP server", PACKAGES)
    started: list[RtspServer] = []

    def start(clip: Path) -> RtspServer:
        server = RtspServer(clip)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()
