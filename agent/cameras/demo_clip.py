"""The demo's clip: twenty seconds of a harbour of its own, as H.264 in MP4.

    python -m agent.cameras.demo_clip OUT.mp4

The same code makes the same pictures; it starts with a key frame, has one a second so that a viewer who joins late
sees something soon, and no B-frames, as an IP camera's stream. Coded as BT.601 limited, and says so.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import av

from agent.cameras.harbour_scene import HarbourScene

SEED = 2027
WIDTH, HEIGHT = 640, 360
RATE = 10  # pictures per second
SECONDS = 20.0
MAX_BYTES = 1_000_000  # it lies in the repository
BT601 = 6  # SMPTE 170M, in ITU-T H.273 numbering
OPTIONS = {
    "preset": "veryslow",
    "crf": "27",
    "bf": "0",
    "g": str(RATE),
    "threads": "1",
    "maxrate": "390k",
    "bufsize": "390k",
    "x264-params": "scenecut=0:keyint-min=10",
}


def write(path: Path, seed: int = SEED, seconds: float = SECONDS, rate: int = RATE) -> None:
    """Draw and encode the clip."""
    scene = HarbourScene(seed, WIDTH, HEIGHT)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options=OPTIONS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        coder = stream.codec_context
        coder.time_base = Fraction(1, rate)
        coder.colorspace = coder.color_primaries = coder.color_trc = BT601
        for index in range(round(seconds * rate)):
            picture = av.VideoFrame.from_ndarray(scene.render(index / rate)[0], format="rgb24")
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the demo's clip.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    write(options.out, options.seed, options.seconds)
    size = options.out.stat().st_size
    print(f"{options.out}: {size} bytes")
    if size > MAX_BYTES:
        raise SystemExit(f"{options.out} is larger than {MAX_BYTES} bytes; raise crf in {__file__}")


if __name__ == "__main__":
    main()
