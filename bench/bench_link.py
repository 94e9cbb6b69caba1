"""Releases over bad links: `python -m bench.bench_link [--quick] [--json FILE]`.

A box's fetch, store and update machine take a release from the real control plane's HTTPS server, over a wire that
counts what it delivers and is cut again and again: in good order, by a reset, or by silence.

- cut at least twenty times, a release of 1 GB arrives with at most 2 % delivered twice. Everything counts that went
  down the wire and is not the release: what came twice, but TLS, headers and handshakes as well;
- what the box's folder holds meanwhile is never above the old release and the new one and 5 %;
- a peer that sends a byte every 25 s, or drips file, headers or framing, is given up within the time it is allowed;
- of data without an end no more is taken than the length and one chunk;
- with a cap, no more than the cap comes, but for what fits in buffers, whether one deployment pulls or two at once.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from agent.adapters.blob_https import MOST_AT_ONCE, HttpsBlobs, Patience, pinned
from agent.ports import Grant
from agent.update.download import BURST_SECONDS, Download
from bench.link.box import running
from bench.link.plane import Plane, plane
from bench.link.wire import Cut, Wire, ahead
from bench.telling import Result, proven
from protos import manifest
from protos.errors import Retryable
from protos.ids import DeploymentName, Digest, digest_of
from tests.sim.https import Reply, Request, SimHttps, ranged
from tests.sim.releases import MadeRelease, make

PATIENCE = Patience()
TWICE, DISK, AHEAD_BYTES = 0.02, 0.05, 1 << 20
IN_ADVANCE_SECONDS = 0.25  # in the kernel's buffers, as agent.adapters.blob_https asks for
NAMES = DeploymentName("quay"), DeploymentName("gate")
KINDS = ("reset", "ended", "reset", "ended", "silent", "ended", "reset", "ended")
SEED = 2027
GAP_SECONDS, DRIP_SECONDS = 25.0, 5.0  # between two bytes
ENDLESS, WHAT = 64 << 20, ("file", "manifest")


@dataclass(frozen=True)
class Form:
    """How much is proven. `link`: bytes per second of the wire."""

    size: int = 1_000_000_000
    old: int = 250_000_000
    cuts: int = 24
    link: float = 25e6
    patience: Patience = PATIENCE
    first_retry_seconds: float = 1.0
    cap: float = 1e6
    capped: int = 8_000_000


QUICK = Form(
    size=40_000_000,
    old=4_000_000,
    cuts=20,
    link=10e6,
    patience=Patience(quiet=0.6, window=1.2),
    first_retry_seconds=0.05,
    cap=2e6,
    capped=4_000_000,
)


def cuts(form: Form) -> list[Cut]:
    """The last one comes before the release is whole."""
    rng = random.Random(SEED)
    weights = [rng.uniform(0.3, 1.7) for _ in range(form.cuts)]
    parts = [int(0.95 * form.size * weight / sum(weights)) for weight in weights]
    return [Cut(part, KINDS[number % len(KINDS)]) for number, part in enumerate(parts)]


async def over_a_cut_link(folder: Path, source: Plane, form: Form) -> Result:
    """An old release answers; a new one comes."""
    old, new = source.store("1.0.0", form.old), source.store("2.0.0", form.size)
    wire = Wire(source.port, rate=form.link)
    async with wire.listening() as port:
        blobs = HttpsBlobs(lambda: source.grant(port), lambda: pinned(source.ca), form.patience)
        async with running(folder, blobs, form.first_retry_seconds) as box:
            await box.runs({NAMES[0]: old.digest})
            down, began = wire.down, time.monotonic()
            wire.cuts = cuts(form)
            await box.runs({NAMES[0]: new.digest})
    return {
        "bytes": new.size,
        "cuts": dict(wire.done),
        "delivered": wire.down - down,
        "twice": (wire.down - down) / new.size - 1.0,
        "disk_most": box.largest,
        "disk_allowed": int((old.size + new.size) * (1 + DISK)),
        "seconds": round(time.monotonic() - began, 1),
    }


async def from_slow_peers(form: Form) -> Result:
    """Seconds until each is given up; all at the same time."""
    scale = form.patience.quiet / PATIENCE.quiet
    body, head = b"x" * 10_000, b"HTTP/1.1 200 OK\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    replies = {
        "a byte every 25 s": Reply(200, body, chunk=1, gap=GAP_SECONDS * scale),
        "a byte every 5 s": Reply(200, body, chunk=1, gap=DRIP_SECONDS * scale),
        "headers, a byte every 5 s": Reply(raw=head + b"X: " + body, chunk=1, gap=DRIP_SECONDS * scale),
        "framing, a byte every 5 s": Reply(raw=chunked + b"5;" + body, chunk=len(chunked), gap=DRIP_SECONDS * scale),
    }
    found = await asyncio.gather(*(_given_up(reply, form.patience) for reply in replies.values()))
    return {"allowed": form.patience.window + form.patience.quiet, **dict(zip(replies, found, strict=True))}


async def _given_up(reply: Reply, patience: Patience) -> float:
    async with SimHttps(lambda _: reply).running() as server:
        source = HttpsBlobs(lambda: Grant(server.url, "leave"), lambda: None, patience)
        began = time.monotonic()
        try:
            async for _ in source.fetch(digest_of(b""), 0):
                pass
        except Retryable:
            return round(time.monotonic() - began, 2)
    raise AssertionError("such a file has no end")


async def without_an_end(folder: Path, form: Form) -> Result:
    """Bytes that the box took: of a file that goes on behind its end, and of a manifest that has none."""
    release = make("1.0.0", size=1_000_000)
    return {
        "file": await _taken(folder / "file", release, release.model_digest, form),
        "file_allowed": sum(map(len, release.blobs.values())) + MOST_AT_ONCE,
        "manifest": await _taken(folder / "manifest", release, release.digest, form),
        "manifest_allowed": 2 * (manifest.MAX_BYTES + MOST_AT_ONCE),  # other bytes may be an accident, once
    }


async def _taken(folder: Path, release: MadeRelease, endless: Digest, form: Form) -> int:

    def answer(request: Request) -> Reply:
        digest = Digest(f"sha256:{request.path.rpartition('/')[2]}")
        body = release.blobs[digest]
        return Reply(200, body + bytes(ENDLESS), length=1 << 40) if digest == endless else ranged(body, request)

    async with SimHttps(answer).running() as server:
        blobs = HttpsBlobs(lambda: Grant(server.url, "leave"), lambda: None, form.patience)
        async with running(folder, blobs, form.first_retry_seconds) as box:
            if endless == release.digest:
                await box.refuses(NAMES[0], release.digest)
            else:
                await box.runs({NAMES[0]: release.digest})
            return box.taken.count


async def below_a_cap(folder: Path, source: Plane, form: Form, deployments: int) -> Result:
    """So many at once, each with the same cap."""
    stored = [source.store("1.0.0", form.capped, name) for name in NAMES[:deployments]]
    wire = Wire(source.port)
    async with wire.listening() as port:
        blobs = HttpsBlobs(lambda: source.grant(port), lambda: pinned(source.ca), form.patience)
        async with running(folder, blobs, form.first_retry_seconds) as box:
            box.rule({name: Download(bytes_per_second=form.cap) for name in NAMES})
            began = time.monotonic()
            await box.runs({name: each.digest for name, each in zip(NAMES, stored, strict=False)})
            seconds = time.monotonic() - began
    return {
        "deployments": deployments,
        "bytes": sum(each.size for each in stored),
        "seconds": round(seconds, 1),
        "ahead": int(ahead(wire.seen, began, form.cap)),
        "ahead_allowed": int(form.cap * (BURST_SECONDS + IN_ADVANCE_SECONDS)) + AHEAD_BYTES * deployments,
    }


def missed(found: Mapping[str, Any], form: Form) -> list[str]:
    cut, slow, endless = found["cut"], found["slow"], found["endless"]
    said = []
    if sum(cut["cuts"].values()) < form.cuts:
        said.append(f"the link was cut {sum(cut['cuts'].values())} times only")
    if cut["twice"] > TWICE:
        said.append(f"{100 * cut['twice']:.2f} % were delivered twice")
    if cut["disk_most"] > cut["disk_allowed"]:
        said.append(f"the disk held {cut['disk_most']} bytes")
    said += [f"{peer}: given up after {took} s" for peer, took in slow.items() if took > slow["allowed"]]
    said += [
        f"{endless[what]} bytes of an endless {what}" for what in WHAT if endless[what] > endless[f"{what}_allowed"]
    ]
    said += [
        f"{each['ahead']} bytes ahead of the cap" for each in found["cap"] if each["ahead"] > each["ahead_allowed"]
    ]
    return said


async def prove(folder: Path, form: Form) -> Result:
    with plane(folder / "plane") as source:
        found = {
            "form": asdict(form),
            "cut": await over_a_cut_link(folder / "cut", source, form),
            "slow": await from_slow_peers(form),
            "endless": await without_an_end(folder, form),
            "cap": [await below_a_cap(folder / f"cap-{count}", source, form, count) for count in (1, 2)],
        }
    return {**found, "missed": missed(found, form)}


def table(found: Result) -> str:
    cut, slow, endless = found["cut"], found["slow"], found["endless"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in cut["cuts"].items())
    rows = [
        ("release, MB", f"{cut['bytes'] / 1e6:.1f}", ""),
        ("cuts", sum(cut["cuts"].values()), kinds),
        ("seconds", cut["seconds"], ""),
        ("delivered beyond it", f"{100 * cut['twice']:.3f} %", f"{100 * TWICE:g} %"),
        ("most on disk, MB", f"{cut['disk_most'] / 1e6:.1f}", f"{cut['disk_allowed'] / 1e6:.1f}"),
        *((f"{peer}: given up", f"{took} s", f"{slow['allowed']:g} s") for peer, took in list(slow.items())[1:]),
        *((f"endless {what}: taken", endless[what], endless[f"{what}_allowed"]) for what in WHAT),
    ]
    for each in found["cap"]:
        name = f"{each['deployments']} below a cap"
        rows += [(f"{name}: seconds", each["seconds"], "")]
        rows += [(f"{name}: bytes ahead", each["ahead"], each["ahead_allowed"])]
    return "\n".join(f"{name:36} {value!s:>12}  {allowed!s}" for name, value, allowed in [("", "", "allowed"), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small release, seconds instead of minutes")
    parser.add_argument("--json", type=Path, default=Path("bench/results/link.json"))
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # each cut is one
    form = QUICK if options.quick else Form()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(proven(lambda: uvloop.run(prove(Path(folder), form)), table, options.json))


if __name__ == "__main__":
    main()
