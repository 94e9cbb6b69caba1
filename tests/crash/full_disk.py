"""A box whose disk really fills while it pulls; run inside a mount namespace of its own, on a small tmpfs.

    python -m tests.crash.full_disk FOLDER MODE     writes what was seen as JSON

MODE "checked": as in life, room is checked before pulling. MODE "surprised": somebody else takes the room after that.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from agent.update import steps
from agent.update.machine import State
from tests.crash.world import NEW, QUAY, Boot, World
from tests.sim.waiting import until


def _fill(folder: Path) -> Path:
    """Take all room but a little."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            out.truncate(max(0, out.tell() - 16_384))
    return ballast


def _settled(world: World) -> bool:
    """The new release is confirmed: until it is, a box that boots goes back to the old one, as it should."""
    report = world.updater.reports()[0]
    return report.state is State.IDLE and report.active == NEW.digest


async def _story(folder: Path) -> dict[str, object]:
    await World(Boot(str(folder), "old")).run()
    ballast = _fill(folder)
    world = World(Boot(str(folder), "old"))
    world.updater.start()
    world.updater.offer({QUAY: NEW.digest})
    await until(lambda: any(problem.code == "disk-full" for problem in world.updater.problems()))
    told = world.updater.problems()[0].message
    during = world.serving.answers(QUAY)
    ballast.unlink()
    await until(lambda: _settled(world))
    await until(lambda: not world.updater.problems())
    await world.close()
    after = await World(Boot(str(folder), "new", online=False)).run()
    return {"told": told, "during": during, "violations": world.violations, "after": after.answers}


def main() -> None:
    folder, mode = Path(sys.argv[1]), sys.argv[2]
    steps.SPARE_BYTES = 0
    if mode == "surprised":
        steps._check_space = lambda *_: None
    sys.stdout.write(json.dumps(asyncio.run(_story(folder))))


if __name__ == "__main__":
    main()
