"""A real agent while system calls on its outbox fail: strace sits on it for a while, then the disk is well again.

strace answers the calls in the kernel's stead, so the agent's program is the one that boxes run. Whatever fails, the
cameras are answered meanwhile, the same process goes on, and once strace has gone records are accepted again. At the
end the books are even: each number is in the outbox or declared.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.config import OUTBOX_BYTES
from bench.dataplane import box as boxes
from bench.dataplane import releases
from bench.dataplane.box import Box
from bench.dataplane.releases import deployment
from bench.dataplane.seen import ANSWERED
from bench.telling import Result
from protos import fleet_pb2 as wire
from tests.crash.outbox_ledger import Ledger
from tests.crash.outbox_life import drained
from tests.sim.waiting import seconds_until

MISSING = "this machine has no strace, or lets nobody trace a process: system calls can't be made to fail"
CALLS = ("pwrite64", "fdatasync", "pwrite64,fdatasync,ftruncate")
ERRORS = ("EIO", "ENOSPC", "EROFS")
CAMERAS = ("quay-0", "quay-1")
RATE, DEADLINE_MS = 5.0, 1000
SOURCE = "synthetic://harbour?seed={}&width=320&height=180"
BROKEN_SECONDS = 2.5  # beyond the first failure
RECOVERY_SECONDS = 10.0
TROUBLE_SECONDS = 15.0  # until a failure shows: a box at rest writes every two seconds
SEED = 2029


@dataclass(frozen=True)
class Sample:
    """One disk that was bad for a while. `answered`: frames meanwhile; `recovered`: seconds after it was well."""

    calls: str
    error: str
    first: int  # the first of these calls that fails
    failed: int
    answered: int
    live: bool
    recovered: float
    accepted_after: int

    def missed(self) -> list[str]:
        name = f"{self.calls} {self.error} from call {self.first} on"
        found = [f"{name}: nothing failed"] if self.failed == 0 else []
        found += [f"{name}: no frame was answered meanwhile"] if self.answered == 0 else []
        found += [] if self.live else [f"{name}: the agent did not answer that it lives"]
        found += [f"{name}: nothing was accepted afterwards"] if self.accepted_after <= 0 else []
        late = self.recovered > RECOVERY_SECONDS
        return found + ([f"{name}: {self.recovered:.1f} s until records were accepted again"] if late else [])


def possible() -> bool:
    """Can a process of ours be traced?"""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0


class Meters:
    """What the agent says of itself."""

    def __init__(self, ports: dict[str, int]) -> None:
        self._ports = ports
        self._client = httpx.Client(trust_env=False, timeout=5.0)

    def value(self, name: str) -> float:
        said = self._client.get(f"http://127.0.0.1:{self._ports['metrics']}/metrics").text
        return sum(float(found) for found in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", said, re.MULTILINE))

    def live(self) -> bool:
        return self._client.get(f"http://127.0.0.1:{self._ports['http']}/v2/health/live").is_success

    @property
    def trouble(self) -> bool:
        return self.value("longshore_outbox_trouble") > 0

    @property
    def accepted(self) -> int:
        return int(self.value("longshore_outbox_accepted_records"))


class Trouble:
    """strace on an agent: these calls on its outbox fail from the `first` on."""

    def __init__(self, box: Box, calls: str, error: str, first: int) -> None:
        self._log = box.folder / "strace.log"
        outbox = box.folder / "state" / "outbox.db"
        paths = [word for suffix in ("", "-wal", "-shm") for word in ("-P", f"{outbox}{suffix}")]
        inject = f"inject={calls}:error={error}:when={first}+"
        command = ["strace", "-f", "-p", str(box.pid), "-o", str(self._log), *paths, "-e", inject]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def failed(self) -> int:
        return self._log.read_text(errors="replace").count("(INJECTED)") if self._log.exists() else 0

    def end(self) -> None:
        """strace goes without harm to what it traced."""
        self._process.terminate()
        self._process.wait(10)
        self._log.unlink(missing_ok=True)


async def sampled(box: Box, meters: Meters, calls: str, error: str, first: int) -> Sample:
    box.seen.new()
    trouble = Trouble(box, calls, error, first)
    await seconds_until(lambda: trouble.failed() > 0 and meters.trouble, TROUBLE_SECONDS)
    await asyncio.sleep(BROKEN_SECONDS)
    answered = sum(each.outcome in ANSWERED for each in box.seen.new())
    failed, live, before = trouble.failed(), meters.live(), meters.accepted
    trouble.end()
    recovered = await seconds_until(lambda: not meters.trouble and meters.accepted > before, 3 * RECOVERY_SECONDS)
    return Sample(calls, error, first, failed, answered, live, recovered, meters.accepted - before)


async def prove(folder: Path, samples: int) -> Result:
    rng = random.Random(SEED)
    release = releases.made("1.0.0")
    cameras = [wire.CameraSpec(name=name, source=SOURCE.format(name[-1]), rate=RATE) for name in CAMERAS]
    async with boxes.running(folder) as box:
        box.offer(release)
        box.wish(cameras, [deployment("quay", release, CAMERAS, DEADLINE_MS)])
        await box.settled({"quay": release.digest})
        meters, pid = Meters(box.ports), box.pid
        cases = itertools.islice(itertools.cycle(itertools.product(CALLS, ERRORS)), samples)
        found = [await sampled(box, meters, *case, rng.randint(1, 5)) for case in cases]
        survived = box.runs and box.pid == pid
    uneven = await books(folder / "state" / "outbox.db")
    missed = [sentence for sample in found for sentence in sample.missed()] + uneven
    return {
        "samples": samples,
        "calls_failed": sum(sample.failed for sample in found),
        "frames_answered_meanwhile": sum(sample.answered for sample in found),
        "recovered_seconds": {"most": max(sample.recovered for sample in found)},
        "each": [asdict(sample) for sample in found],
        "missed": missed + ([] if survived else ["the agent did not survive"]),
    }


async def books(path: Path) -> list[str]:
    """What is uneven in an outbox that nobody emptied so far."""
    ledger, outbox = Ledger(), SqliteOutbox(path, OUTBOX_BYTES)
    await outbox.start()
    await drained(outbox, ledger)
    uneven: list[Any] = [*ledger.conflicts, *ledger.uneven(), *ledger.unlike(outbox.tallies())]
    await outbox.close()
    return uneven if ledger.stored else ["the outbox is empty"]
