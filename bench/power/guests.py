"""Power cuts of a QEMU guest: `python -m bench.power.guests [--cuts N] [--json FILE]`, or `make nightly`.

A guest with a kernel, an ext4 disk and the real outbox is started again and again on the same disk, and killed while
records are accepted. Each time it comes back it first delivers what waited: what it ever called accepted is then
stored, once, or declared dropped, and every number is one of both.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agent.trial.tally import percentile
from bench.telling import Result, told
from tests.crash.guest_life import TOLD
from tests.crash.outbox_ledger import Ledger
from tests.sim import guest
from tests.sim.guest import Machine

CUTS = 25
SEED = 2028
BOOT_SECONDS = 180.0  # until a guest counts as one that does not come up
LIVED_SECONDS = (0.2, 4.0)  # of accepting, before the power goes
PROGRAM = "tests.crash.guest_life"


@dataclass(frozen=True)
class Boot:
    """One life of the guest. `wrong`: what could not be, of the lives before."""

    accepted: int
    seconds_until_drained: float
    waiting: int
    trouble: str
    wrong: list[str]


@dataclass
class Proof:
    machine: Machine
    rng: random.Random
    protection_away: str = ""
    ledger: Ledger = field(default_factory=Ledger)
    boots: list[Boot] = field(default_factory=list)

    def run(self, cuts: int) -> None:
        """`cuts` lives that end without power, and one more that tells what became of the last."""
        for number in range(cuts + 1):
            self._boot(0.0 if number == cuts else self.rng.uniform(*LIVED_SECONDS))

    def _boot(self, lived: float) -> None:
        first = 1 + max(self.ledger.offered, default=0)
        away = [self.protection_away] if self.protection_away else []
        running = self.machine.boot(str(first), str(self.rng.randrange(1 << 30)), *away)
        patience = threading.Timer(BOOT_SECONDS, running.kill)
        patience.start()
        began, before, drained = time.monotonic(), len(self.ledger.accepted), None
        for line in guest.lines(running):
            _, is_told, said = line.partition(TOLD)
            if is_told and (heard := self._heard(msgspec.json.decode(said))):
                drained = (time.monotonic() - began, heard, self.ledger.wrong())
                threading.Timer(lived, running.kill).start()
        running.wait()
        patience.cancel()
        seconds, (waiting, trouble), wrong = drained or (BOOT_SECONDS, (0, ""), ["the guest did not come up"])
        accepted = len(self.ledger.accepted) - before
        self.boots.append(Boot(accepted, round(seconds, 1), waiting, trouble, wrong))

    def _heard(self, said: list[Any]) -> tuple[int, str] | None:
        """How much waits and why it can't be written, once all that waited was delivered."""
        if said[0] == "drained":
            return said[1], said[2]
        self.ledger.heard([said])
        return None


def prove(folder: Path, cuts: int, protection_away: str = "") -> Result:
    machine = Machine(folder, PROGRAM)
    machine.prepare()
    proof = Proof(machine, random.Random(SEED), protection_away)
    proof.run(cuts)
    ledger, boots = proof.ledger, proof.boots
    seconds = [boot.seconds_until_drained for boot in boots]
    return {
        "cuts": cuts,
        "seed": SEED,
        "guest": "QEMU (TCG), Debian cloud kernel, ext4 on virtio",
        "accepted": len(ledger.accepted),
        "stored": len(ledger.stored),
        "declared_dropped": sum(ledger.dropped().values()),
        "by_class": {word.word: count for word, count in sorted(Counter(ledger.offered.values()).items())},
        "seconds_until_drained": {"p50": percentile(seconds, 0.5), "most": max(seconds)},
        "boots": [asdict(boot) for boot in boots],
        "missed": missed(boots),
    }


def missed(boots: list[Boot]) -> list[str]:
    """Pure."""
    found = []
    for number, boot in enumerate(boots):
        found += [f"boot {number}: {sentence}" for sentence in boot.wrong]
        if boot.trouble:
            found.append(f"boot {number}: {boot.trouble}")
        if boot.waiting:
            found.append(f"boot {number}: {boot.waiting} still waited")
    idle = sum(boot.accepted == 0 for boot in boots[:-1])
    return found + ([f"{idle} cuts came before anything was accepted"] if idle else [])


def table(result: Result) -> str:
    seconds = result["seconds_until_drained"]
    rows = [
        ("power cuts of a guest", result["cuts"]),
        ("records accepted", result["accepted"]),
        ("stored", result["stored"]),
        ("declared dropped", result["declared_dropped"]),
        ("seconds until all is delivered again, p50", seconds["p50"]),
        ("most", seconds["most"]),
    ]
    return "\n".join(f"{name:44} {value:>10}" for name, value in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=CUTS)
    parser.add_argument("--json", type=Path, default=Path("bench/results/guests.json"))
    options = parser.parse_args()
    if not guest.possible():
        sys.exit(f"longshore: {guest.MISSING}")
    with tempfile.TemporaryDirectory() as folder:
        result = prove(Path(folder), options.cuts)
    sys.exit(told(table(result), result, result["missed"], options.json))


if __name__ == "__main__":
    main()
