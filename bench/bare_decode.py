"""Decode-only streams, the limit of what a capture worker can do: `python -m bench.bare_decode CLIP STREAMS SECONDS`.

A thread per stream decodes its clip in real time, again and again, and looks at nothing. After a second of warming up
it prints pictures and processor seconds of the time measured as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, field

import av

WARM_SECONDS = 1.0


@dataclass
class Stream:
    clip: str
    pictures: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        started, turn = time.monotonic(), 0.0
        while not self.stopped.is_set():
            with av.open(self.clip) as container:
                container.streams.video[0].codec_context.thread_count = 1
                for frame in container.decode(video=0):
                    at = turn + float(frame.time or 0.0)
                    if self.stopped.wait(max(0.0, started + at - time.monotonic())):
                        return
                    self.pictures += 1
                turn = at + 1.0 / float(container.streams.video[0].average_rate or 25)


def main() -> None:
    clip, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    streams = [Stream(clip) for _ in range(count)]
    threads = [threading.Thread(target=stream.run) for stream in streams]
    for thread in threads:
        thread.start()
    time.sleep(WARM_SECONDS)
    before = (sum(stream.pictures for stream in streams), time.process_time())
    time.sleep(seconds)
    pictures, cpu = sum(stream.pictures for stream in streams) - before[0], time.process_time() - before[1]
    print(json.dumps({"pictures": pictures, "cpu_seconds": cpu}))
    for stream, thread in zip(streams, threads, strict=True):
        stream.stopped.set()
        thread.join()


if __name__ == "__main__":
    main()
