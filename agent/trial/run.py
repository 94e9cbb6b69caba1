"""One trial from start to end: open release and source, look at picture after picture, leave film, tables and figures.

Order: release, source, engine, output; nothing is written before the first picture was seen. Stages run one after
another, so that the figure of each is its own. Ctrl-C ends it after the picture under way, with everything whole.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.cameras.drawing import annotate
from agent.inference.engine import OnnxEngine
from agent.release_folder import ReleaseFolder, opened
from agent.supervise import in_thread
from agent.tracking.tracker import Tracker
from agent.trial import feed as feeds
from agent.trial import tensors
from agent.trial.feed import FedPicture, Feed
from agent.trial.film import MAX_SIDE, Album, Film, Sink, write_jpeg
from agent.trial.progress import Progress
from agent.trial.seers import Seer, Sight, seer
from agent.trial.tally import Tally, text
from protos.errors import Rejected

FILM, FIRST, FIGURES = "annotated.mp4", "first.jpg", "figures.json"
PATIENCE = 60.0  # seconds of work at a film that nobody said a length of
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """`source`: a path or URL. `seconds` of it, None for all, or a live source's usual time."""

    release: Path
    source: str
    output: Path
    seconds: float | None = None
    min_score: float = 0.3
    variant: str = ""
    threads: int = 0  # of the engine; 0: one per core
    patience: float = PATIENCE  # seconds of work after which a film ends where `seconds` does not say so


def run(wish: Wish, say: Say) -> bool:
    """Whether it came to its own end, and was not stopped. What people read goes to `say`.

    Raises:
        Rejected: release or source cannot be used, or the output folder is not empty.
        Retryable: a live source gives nothing now, or the engine worker died.
        Fatal: no fitting ONNX Runtime is installed.
    """
    release = opened(wish.release, wish.variant, wish.threads)
    check_output(wish.output)
    source = feeds.opened(wish.source, wish.seconds)
    try:
        return asyncio.run(_Trial(wish, release, source, say).run())
    finally:
        source.close()


class _Trial:
    def __init__(self, wish: Wish, release: ReleaseFolder, feed: Feed, say: Say) -> None:
        self._wish, self._release, self._feed, self._say = wish, release, feed, say
        self._tally = Tally()
        self._tracker = Tracker()
        self._stopped = False
        self._enough = False
        self._sink: Sink | None = None
        self._size = ""

    async def run(self) -> bool:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        engine = OnnxEngine("try")
        try:
            await engine.start(self._release.spec)
            if self._release.spec.input is None:
                self._say(await tensors.report(engine, self._feed))
            else:
                await self._look(await seer(engine, self._release.spec))
        finally:
            await engine.close()
        return not self._stopped

    def _stop(self) -> None:
        self._stopped = True

    async def _look(self, eyes: Seer) -> None:
        progress, started = Progress(), time.perf_counter()
        try:
            while not (self._stopped or self._enough) and (seen := await in_thread(self._feed.next)) is not None:
                sight = self._followed(seen, await eyes.see(seen.picture, self._wish.min_score))
                drawn = time.perf_counter()
                await in_thread(self._draw, seen, sight)
                self._count(seen, sight, time.perf_counter() - drawn)
                self._tally.seconds = time.perf_counter() - started
                progress.show(self._tally.pictures, seen.share)
                self._enough = self._is_enough(seen)
        finally:
            progress.clear()
            if self._sink is not None:
                await in_thread(self._sink.close)
        self._tell()

    def _followed(self, seen: FedPicture, sight: Sight) -> Sight:
        """In a film, things get their numbers as a deployment gives them to a camera's."""
        if not (self._feed.rate and sight.drawn):
            return sight
        return replace(sight, boxes=self._tracker.see(sight.boxes, seen.stream_time).numbered(sight.boxes))

    def _is_enough(self, seen: FedPicture) -> bool:
        """Whether a film that goes on took long enough for a look, where nobody said how much of it to take."""
        is_film = self._feed.rate > 0 and self._wish.seconds is None
        return is_film and seen.share < 1 and self._tally.seconds >= self._wish.patience

    def _draw(self, seen: FedPicture, sight: Sight) -> None:
        canvas = seen.picture.rgb(MAX_SIDE)
        annotate(canvas, sight.boxes if sight.drawn else (), sight.caption)
        if self._sink is None:
            self._size = f"{seen.picture.width}×{seen.picture.height}"
            self._sink = self._made()
            if self._feed.rate:
                write_jpeg(self._wish.output / FIRST, canvas)
        self._sink.add(canvas, seen)

    def _made(self) -> Sink:
        output = self._wish.output
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Rejected(f"{output} cannot be made: {error.strerror}") from error
        return Film(output / FILM, self._feed.rate) if self._feed.rate else Album(output)

    def _count(self, seen: FedPicture, sight: Sight, draw_seconds: float) -> None:
        decode = seen.decode_seconds + sight.fit_seconds
        self._tally.add(sight.boxes, {"decode": decode, "inference": sight.infer_seconds, "draw": draw_seconds})

    def _tell(self) -> None:
        tally = self._tally
        if self._sink is None:
            self._say("stopped before the first picture; nothing was written")
            return
        (self._wish.output / FIGURES).write_text(json.dumps(self._document(), indent=2, ensure_ascii=False) + "\n")
        title = f"{self._release.title} ({self._release.variant.name})"
        pictures = "1 picture" if tally.pictures == 1 else f"{tally.pictures} pictures"
        self._say(f"{title}: {pictures} of {self._size} in {tally.seconds:.1f} s, {tally.rate:.1f}/s")
        if self._enough:
            self._say("the film goes on, but this took long enough for a look; --seconds says how much of it to take")
        if note := self._feed.note():
            self._say(note)
        self._say(f"\n{text(tally, self._wish.min_score)}\n")
        self._say(f"{'stopped; whole up to there' if self._stopped else 'see'}: {self._sink.path}")

    def _document(self) -> dict[str, Any]:
        release = self._release
        return {
            "release": {
                "name": release.manifest.name,
                "version": release.manifest.version,
                "digest": release.spec.digest,
            },
            "variant": release.variant.name,
            "minScore": self._wish.min_score,
            "notLookedAt": self._feed.skipped,
            **self._tally.document(),
        }


def check_output(folder: Path, option: str = "--output") -> None:
    """Raises Rejected where something lies there; `option` names another."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Rejected(f"{folder} is there already and not empty; name another folder with {option}")
