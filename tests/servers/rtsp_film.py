#!/usr/bin/env python3
"""A camera of any codec for the tests: clips served one after another in a loop, without re-encoding.

    python3 tests/servers/rtsp_film.py --port 8554 --codec h265 CLIP [CLIP ...]

Runs under the system's Python and borrows what it can from the demo's server. Clips of different sizes make a camera
whose picture changes while it runs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from controlplane.up import rtsp_server

_gi: Any = rtsp_server  # which chose the versions
GLib, Gst, GstRtspServer = _gi.GLib, _gi.Gst, _gi.GstRtspServer

# codec: how pictures are taken out of a file, what they are, how they are sent
CODECS = {
    "h264": ("qtdemux ! h264parse config-interval=-1", rtsp_server.CAPS, "h264parse ! rtph264pay config-interval=-1"),
    "h265": (
        "qtdemux ! h265parse config-interval=-1",
        "video/x-h265,stream-format=byte-stream,alignment=au",
        "h265parse ! rtph265pay config-interval=-1",
    ),
    "mjpeg": ("avidemux ! jpegparse", "image/jpeg", "jpegparse ! rtpjpegpay"),
}


def units(path: Path, codec: str) -> list[Any]:
    """Buffers, one a picture, each key picture with all that a decoder needs."""
    apart, caps, _ = CODECS[codec]
    pipeline: Any = Gst.parse_launch(
        f"filesrc name=file ! {apart} ! {caps} ! appsink name=units sync=false max-buffers=0"
    )
    pipeline.get_by_name("file").set_property("location", str(path))
    sink = pipeline.get_by_name("units")
    pipeline.set_state(Gst.State.PLAYING)
    found = []
    while (sample := sink.emit("pull-sample")) is not None:
        found.append(sample.get_buffer().extract_dup(0, sample.get_buffer().get_size()))
    pipeline.set_state(Gst.State.NULL)
    return found


def film(paths: list[Path], codec: str, rate: int) -> rtsp_server.Clip:
    contents = [content for path in paths for content in units(path, codec)]
    step = Gst.SECOND // rate
    timed = [rtsp_server.Unit(content, number * step, number * step) for number, content in enumerate(contents)]
    return rtsp_server.Clip(timed, len(timed) * step)


class Factory(rtsp_server.Factory):
    def __init__(self, clip: rtsp_server.Clip, codec: str) -> None:
        super().__init__(clip)
        _, self._caps, sent = CODECS[codec]
        self.set_launch(f"( appsrc name=source is-live=true format=time ! {sent} name=pay0 pt=96 )")

    def do_configure(self, media: Any) -> None:
        super().do_configure(media)
        media.get_element().get_by_name("source").set_property("caps", Gst.Caps.from_string(self._caps))


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve clips in a loop as an RTSP camera.")
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--codec", choices=CODECS, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=int, default=10)
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    factory = Factory(film(options.clips, options.codec, options.rate), options.codec)
    server.get_mount_points().add_factory("/harbour", factory)
    if server.attach(None) == 0:
        sys.exit(f"port {options.port} is taken")
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
