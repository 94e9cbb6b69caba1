"""A site with a cache of its own: `python -m bench.bench_site [--quick] [--json FILE]`.

Boxes of one site take a release at the same moment over one uplink, from the real control plane's HTTPS server; one of
them is the cache of the others. What went down the uplink is counted on the wire, TLS and handshakes included.

- with the cache, a release goes down the uplink once and not eight times, at most 5 % more;
- a cache that is switched off on the way costs what it had not given yet: no byte comes twice to any box;
- one whose disk gives other bytes costs each box the release from the control plane, and every box runs the right one.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from agent.adapters.blob_https import HttpsBlobs, pinned
from agent.adapters.blob_site import SiteBlobs
from agent.adapters.clock import SystemClock
from agent.adapters.release_store import DiskReleaseStore
from agent.site.first import SiteFirst
from agent.site.holdings import Holdings, Listed
from agent.site.kept import KeptBlobs
from agent.site.pulls import Pulls
from agent.site.server import SiteServer
from agent.site.standing import WRONG, Origin, Standing
from bench.link.box import Box, running
from bench.link.plane import HOST, Plane, Stored, plane
from bench.link.wire import Wire
from bench.telling import Result, proven
from protos.ids import DeploymentName, Digest, ModelName, Version, hex_of
from protos.trust import Listing

QUAY = DeploymentName("quay")
MORE = 0.05  # of a release, on the uplink
ROOM = 64 << 30
FIRST_RETRY_SECONDS = 0.2


@dataclass(frozen=True)
class Form:
    """`boxes`: besides the one that is the cache. `uplink`: bytes per second of the site."""

    size: int = 100_000_000
    boxes: int = 7
    uplink: float = 25e6


QUICK = Form(size=6_000_000, uplink=6e6)


@dataclass
class Site:
    """One uplink, boxes behind it, and perhaps a cache."""

    wire: Wire
    boxes: list[Box]
    standings: list[Standing]
    server: SiteServer | None = None

    async def run(self, release: Stored) -> float:
        """Seconds until all of them answer with it."""
        began = time.monotonic()
        await asyncio.gather(*(box.runs({QUAY: release.digest}) for box in self.boxes))
        return time.monotonic() - began

    def told(self, release: Stored, seconds: float) -> Result:
        came: Counter[Origin] = Counter()
        for standing in self.standings:
            came.update(standing.came)
        return {
            "boxes": len(self.boxes),
            "bytes": release.size,
            "uplink": self.wire.down,
            "times": round(self.wire.down / release.size, 3),
            "from_cache": came[Origin.SITE_CACHE],
            "most_of_a_box": max(sum(standing.came.values()) for standing in self.standings),
            "seconds": round(seconds, 1),
        }


@asynccontextmanager
async def site(folder: Path, source: Plane, form: Form, release: Stored, *, cached: bool) -> AsyncIterator[Site]:
    """Its boxes have nothing yet."""
    wire, clock = Wire(source.port, rate=form.uplink), SystemClock()
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(wire.listening())
        network = HttpsBlobs(lambda: source.grant(port), lambda: pinned(source.ca))
        found = Site(wire, [], [])
        url = await stack.enter_async_context(_cache(folder, network, release, found)) if cached else ""
        for number in range(form.boxes + (not cached)):
            standing = Standing(url)
            first = SiteFirst(SiteBlobs(url, clock), network, standing)
            box = running(folder / f"box-{number}", first, FIRST_RETRY_SECONDS, standing)
            found.boxes.append(await stack.enter_async_context(box))
            found.standings.append(standing)
        yield found


@asynccontextmanager
async def _cache(folder: Path, network: HttpsBlobs, release: Stored, found: Site) -> AsyncIterator[str]:
    """A box that takes the release as well, and is the cache of the others: its URL."""
    extra, standing = DiskReleaseStore(folder / "cache" / "site"), Standing("itself")
    source = SiteFirst(KeptBlobs(extra), network, standing)
    async with running(folder / "cache", source, FIRST_RETRY_SECONDS, standing) as box:
        pulls = Pulls(network, box.ports.releases, extra, box.ports.fetching, SystemClock(), ROOM)
        holdings = Holdings(pulls, {}, _listed(release), lambda: 1, SystemClock())
        found.server = SiteServer(holdings)
        found.boxes.append(box)
        found.standings.append(standing)
        port = await found.server.start(HOST, 0)
        try:
            yield f"http://{HOST}:{port}"
        finally:
            await found.server.stop(0.1)
            await holdings.close()


def _listed(release: Stored) -> Listed:
    """As signed metadata lists and assigns it."""
    known = Listing(ModelName("harbour"), Version("1.0.0"), release.digest, release.manifest_size, 1, "detection")

    async def listed(digest: Digest, *, anew: bool = False) -> Listing | None:  # noqa: ARG001 - as the port has it
        return known if digest == release.digest else None

    return listed


async def together(folder: Path, source: Plane, form: Form, *, cached: bool) -> Result:
    release = source.store("1.0.0", form.size)
    async with site(folder, source, form, release, cached=cached) as found:
        return found.told(release, await found.run(release))


async def switched_off(folder: Path, source: Plane, form: Form) -> Result:
    """The cache ends when its others have half of the release."""
    release = source.store("1.0.0", form.size)
    async with site(folder, source, form, release, cached=True) as found:
        running = asyncio.create_task(found.run(release))
        server, half = found.server, form.boxes * release.size // 2
        assert server is not None
        await found.boxes[-1].until(lambda: server.served_bytes >= half or running.done())
        await server.stop(0.0)
        return found.told(release, await running)


async def lying(folder: Path, source: Plane, form: Form) -> Result:
    """The cache's disk gives other bytes than it was given."""
    release = source.store("1.0.0", form.size)
    async with site(folder, source, form, release, cached=True) as found:
        await found.boxes[0].runs({QUAY: release.digest})
        path = found.boxes[0].folder / "blobs" / "sha256" / hex_of(release.model)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        told = found.told(release, await found.run(release))
        blamed = [problem.code for standing in found.standings[1:] for problem in standing.problems()]
        return {**told, "blamed": blamed.count(WRONG)}


def missed(found: Mapping[str, Any], form: Form) -> list[str]:
    said = []
    if found["cached"]["uplink"] > (1 + MORE) * found["cached"]["bytes"]:
        said.append(f"with a cache the release went down the uplink {found['cached']['times']} times")
    if found["alone"]["times"] < form.boxes:
        said.append("without a cache it went down the uplink fewer times than there are boxes: nothing was measured")
    if found["off"]["most_of_a_box"] > found["off"]["bytes"]:
        said.append("bytes came twice after the cache was switched off")
    if found["lying"]["blamed"] != form.boxes:
        said.append(f"{found['lying']['blamed']} boxes told that the cache gave other bytes")
    return said


async def prove(folder: Path, form: Form) -> Result:
    with plane(folder / "plane") as source:
        found = {
            "form": asdict(form),
            "alone": await together(folder / "alone", source, form, cached=False),
            "cached": await together(folder / "cached", source, form, cached=True),
            "off": await switched_off(folder / "off", source, form),
            "lying": await lying(folder / "lying", source, form),
        }
    return {**found, "missed": missed(found, form)}


def table(found: Result) -> str:
    names = {"alone": "no cache", "cached": "a cache", "off": "switched off", "lying": "other bytes"}
    rows = [("", "boxes", "release, MB", "uplink, MB", "times", "from cache, MB", "seconds")]
    for key, name in names.items():
        each = found[key]
        megabytes = [f"{each[part] / 1e6:.1f}" for part in ("bytes", "uplink", "from_cache")]
        rows.append((name, each["boxes"], *megabytes[:2], each["times"], megabytes[2], each["seconds"]))
    return "\n".join(f"{row[0]:14}" + "".join(f"{cell!s:>15}" for cell in row[1:]) for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small release, seconds instead of a minute")
    parser.add_argument("--json", type=Path, default=Path("bench/results/site.json"))
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # a cache that ends is one
    form = QUICK if options.quick else Form()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(proven(lambda: uvloop.run(prove(Path(folder), form)), table, options.json))


if __name__ == "__main__":
    main()
