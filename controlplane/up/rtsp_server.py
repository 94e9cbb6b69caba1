#!/usr/bin/env python3
"""An RTSP camera for the demo and the tests: one H.264 clip, served live in a loop, without re-encoding.

    python3 controlplane/up/rtsp_server.py --clip harbour.mp4 --port 8554 --path /harbour

Runs under the system's Python with Debian's packages (python3-gi, gir1.2-gst-rtsp-server-1.0, and GStreamer's
plugins-good and plugins-bad) and imports nothing of ours. All clients see the same moment, as with a camera. Time
stamps never go back: each turn of the loop continues where the last one ended. With --user, the password is taken
from LONGSHORE_RTSP_PASSWORD, so that it is in no process list.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - the versions must be chosen first

CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"
LAUNCH = "( appsrc name=source is-live=true format=time ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )"


@dataclass(frozen=True)
class Unit:
    """One access unit: what one picture was coded into. Times are nanoseconds from the clip's start."""

    content: bytes
    pts: int
    dts: int


@dataclass(frozen=True)
class Clip:
    units: list[Unit]
    duration: int  # nanoseconds


def load(path: Path) -> Clip:
    """Take the clip apart once; it is small and stays in memory."""
    pipeline: Any = Gst.parse_launch(
        f"filesrc name=file ! qtdemux ! h264parse ! {CAPS} ! appsink name=units sync=false max-buffers=0"
    )
    pipeline.get_by_name("file").set_property("location", str(path))
    sink = pipeline.get_by_name("units")
    pipeline.set_state(Gst.State.PLAYING)
    buffers = []
    while (sample := sink.emit("pull-sample")) is not None:
        buffers.append(sample.get_buffer())
    pipeline.set_state(Gst.State.NULL)
    if not buffers:
        sys.exit(f"{path} holds no H.264 video; make one with: python -m agent.cameras.demo_clip OUT.mp4")
    return _from_start(buffers)


def _from_start(buffers: list[Any]) -> Clip:
    first = min(buffer.pts for buffer in buffers)
    units = []
    for buffer in buffers:
        dts = buffer.dts if buffer.dts != Gst.CLOCK_TIME_NONE else buffer.pts
        units.append(Unit(buffer.extract_dup(0, buffer.get_size()), buffer.pts - first, dts - first))
    last = max(unit.pts for unit in units)
    return Clip(units, last + (last // max(1, len(units) - 1)))


class Player:
    """Feeds one media with the clip, again and again, each unit when its time has come."""

    def __init__(self, clip: Clip, source: Any) -> None:
        self._clip = clip
        self._source = source
        self._next = 0
        self._turn = 0
        self._start: int | None = None
        self._timer = 0

    def begin(self) -> None:
        self._timer = GLib.timeout_add(1, self._play)

    def stop(self) -> None:
        if self._timer:
            GLib.source_remove(self._timer)
            self._timer = 0

    def _now(self) -> int | None:
        """Running time of the media, or None before it plays."""
        clock = self._source.get_clock()
        # The base time is set on the way to PLAYING; read before that it is zero, and the clip would lie far ahead.
        if clock is None or self._source.get_state(0)[1] != Gst.State.PLAYING:
            return None
        return int(clock.get_time()) - int(self._source.get_base_time())

    def _play(self) -> bool:
        now = self._now()
        wait = 10
        if now is not None:
            if self._start is None:
                self._start = now
            wait = self._push_due(now)
        self._timer = GLib.timeout_add(max(1, wait), self._play)
        return False

    def _push_due(self, now: int) -> int:
        """Push what is due; milliseconds until the next."""
        assert self._start is not None
        while True:
            unit = self._clip.units[self._next]
            offset = self._start + self._turn * self._clip.duration
            if unit.dts + offset > now:
                return (unit.dts + offset - now) // 1_000_000
            buffer = Gst.Buffer.new_wrapped(unit.content)
            buffer.pts, buffer.dts = unit.pts + offset, max(0, unit.dts + offset)
            self._source.emit("push-buffer", buffer)
            self._next += 1
            if self._next == len(self._clip.units):
                self._next, self._turn = 0, self._turn + 1


class Factory(GstRtspServer.RTSPMediaFactory):  # type: ignore[misc]  # gi has no types
    """Makes one media, shared by all clients; it ends when the last of them leaves."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self._clip = clip
        self._players: dict[Any, Player] = {}
        self.set_launch(LAUNCH)
        self.set_shared(True)

    def do_configure(self, media: Any) -> None:
        source = media.get_element().get_by_name("source")
        source.set_property("caps", Gst.Caps.from_string(CAPS))
        player = self._players[media] = Player(self._clip, source)
        media.connect("unprepared", self._end)
        player.begin()

    def _end(self, media: Any) -> None:
        player = self._players.pop(media, None)
        if player is not None:
            player.stop()


def demand_password(server: Any, factory: Any, user: str, password: str) -> None:
    """Basic authentication, as cheap cameras have it."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", user)
    auth = GstRtspServer.RTSPAuth()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    for right in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role(user, right, True)
    factory.set_permissions(permissions)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve an H.264 clip in a loop as an RTSP camera.")
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8554)
    parser.add_argument("--path", default="/harbour")
    parser.add_argument("--user", help="demand this name and the password in LONGSHORE_RTSP_PASSWORD")
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(options.address)
    server.set_service(str(options.port))
    factory = Factory(load(options.clip))
    server.get_mount_points().add_factory(options.path, factory)
    if options.user:
        demand_password(server, factory, options.user, os.environ["LONGSHORE_RTSP_PASSWORD"])
    if server.attach(None) == 0:
        sys.exit(f"port {options.port} on {options.address} is taken; choose another with --port")
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
