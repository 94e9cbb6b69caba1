"""What travels between two versions of a model: `python -m bench.bench_chunks [--quick] [--json FILE]`.

The control plane's own routes over HTTPS, and the agent's own staging of a file on a disk that has the version before.
All bytes are counted on a wire before the server, both ways, handshakes and tables included:

    whole      what the file takes without a look at chunks
    travelled  what it takes when the box has the version before
    asked      connections: for tables, and for what is missing

Besides, seconds of CPU: `cut`, to make the table of 100 MB (control plane, once for each file), and `planned`, to read
the tables of two such files and find out what to copy (box). Goal: a head trained on a frozen backbone saves 60 %.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.adapters.blob_https import HttpsBlobs, pinned
from agent.adapters.release_store import DiskReleaseStore
from agent.update import chunks as pieces
from agent.update.staging import MOST_DOUBTS, Staging
from bench.fine_tunes import Change, changes
from bench.link.plane import plane
from bench.link.wire import Wire
from bench.telling import told
from controlplane.container import Services
from controlplane.registry import chunking
from protos import chunks
from protos.ids import Digest, ModelName, digest_of
from protos.manifest import FileEntry
from tests.sim.releases import make

GOAL = 60.0  # percent saved by GOAL_OF
GOAL_OF = ("head trained, backbone frozen", "head of the sample model")
CUT_BYTES = 100_000_000
MODEL = ModelName("harbour")


@dataclass(frozen=True)
class Figures:
    """Of one change, in bytes."""

    name: str
    size: int
    whole: int
    travelled: int
    asked: int

    @property
    def saved(self) -> float:
        """Percent."""
        return 100 * (1 - self.travelled / self.whole)


@dataclass
class Fetches:
    """A control plane, and what it takes to get files from it."""

    folder: Path
    services: Services
    source: HttpsBlobs
    wire: Wire

    async def measure(self, change: Change) -> Figures:
        await asyncio.to_thread(self._stored, change.older, change.newer)
        digest, size = digest_of(change.newer), len(change.newer)
        whole, _ = await self._fetched(change, Counter({digest: MOST_DOUBTS}))
        travelled, asked = await self._fetched(change, Counter())
        return Figures(change.name, size, whole, travelled, asked)

    async def _fetched(self, change: Change, doubts: Counter[Digest]) -> tuple[int, int]:
        """Bytes and connections until a box that has the older file has the newer one."""
        entry = FileEntry("model.onnx", digest_of(change.newer), len(change.newer), "model")
        with tempfile.TemporaryDirectory(dir=self.folder) as box:
            releases = DiskReleaseStore(Path(box))
            for digest, content in make("1.0.0", name=MODEL, model=change.older).blobs.items():
                releases.append(digest, content)
                releases.keep(digest)
            before = self.wire.both, self.wire.connections
            await Staging(self.source, releases, doubts, lambda: None).stage(entry, MODEL)
            releases.keep(entry.digest)
            assert releases.read(entry.digest) == change.newer
        return self.wire.both - before[0], self.wire.connections - before[1]

    def _stored(self, *contents: bytes) -> None:
        for content in contents:
            with self.services.blobs.stage("bench") as staging:
                staging.write(content[staging.offset :])
                staging.commit(digest_of(content))


@contextlib.asynccontextmanager
async def fetches(folder: Path) -> AsyncIterator[Fetches]:
    with plane(folder / "state") as source:
        wire = Wire(source.port)
        async with wire.listening() as port:
            blobs = HttpsBlobs(lambda: source.grant(port), lambda: pinned(source.ca))
            yield Fetches(folder, source.services, blobs, wire)


def cpu() -> dict[str, float]:
    """Seconds of CPU for CUT_BYTES of a file and of one that differs in its middle."""
    content = random.Random(1).randbytes(CUT_BYTES)
    began = time.process_time()
    older = chunking.table(_blocks(content))
    cut = time.process_time() - began
    half = len(content) // 2
    newer = chunking.table(_blocks(content[:half] + b"more" + content[half:]))
    began = time.process_time()
    here = pieces.places([(digest_of(b"older"), chunks.parse(older, len(content)))])
    planned = pieces.plan(chunks.parse(newer, len(content) + 4), here, 0)
    assert planned
    return {"cut": round(cut, 3), "planned": round(time.process_time() - began, 4)}


def _blocks(content: bytes) -> Iterator[bytes]:
    return (content[start : start + (1 << 20)] for start in range(0, len(content), 1 << 20))


async def prove(folder: Path, measured: Iterable[Change]) -> list[Figures]:
    async with fetches(folder) as over:
        return [await over.measure(change) for change in measured]


def missed(figures: Iterable[Figures]) -> list[str]:
    late = [each for each in figures if each.name in GOAL_OF and each.saved < GOAL]
    return [f"{each.name}: {each.saved:.1f} % saved, of {GOAL} %" for each in late]


def table(figures: Iterable[Figures], seconds: dict[str, float]) -> str:
    lines = [f"{'':32}{'file':>10}{'whole':>10}{'travelled':>11}{'asked':>7}{'saved':>9}"]
    lines += [
        f"{each.name:32}{each.size / 1e6:7.2f} MB{each.whole / 1e6:7.2f} MB{each.travelled / 1e6:8.2f} MB"
        f"{each.asked:7}{each.saved:8.1f}%"
        for each in figures
    ]
    return "\n".join([*lines, f"of 100 MB: {seconds['cut']} s to cut, {seconds['planned']} s to plan"])


def result(figures: Iterable[Figures], seconds: dict[str, float]) -> dict[str, Any]:
    each_one = [{**asdict(each), "saved": round(each.saved, 2)} for each in figures]
    return {"goal": {"saved": GOAL, "of": GOAL_OF}, "changes": each_one, "cpu_seconds_of_100_mb": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a network of a quarter of the bytes")
    parser.add_argument("--json", type=Path, default=Path("bench/results/chunks.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(prove(Path(folder), changes(2 if options.quick else 4, Path(made))))
    seconds = cpu()
    kept = {"quick": options.quick, **result(figures, seconds)}
    sys.exit(told(table(figures, seconds), kept, missed(figures), options.json))


if __name__ == "__main__":
    main()
