"""The power goes at every write of the agent's own update: what a disk may hold then still starts, and ends updated.

And a real environment, made by venv and pip, is killed at random moments while it is made.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent import launcher
from agent.adapters.berths_disk import DiskBerths
from agent.berths.choice import FOLDER, OUTSIDE
from tests.sim import agent_releases
from tests.sim.agent_box import AgentBox, quickly
from tests.sim.power import Disk

OLD, NEW = agent_releases.make("0.3.0"), agent_releases.make("0.3.1")
LIVED = 6  # every so many images is lived in to the end
KILLS = 2
INSTALLING = """
import sys
from pathlib import Path
from tests.crash.test_agent_update_power_cuts import NEW
from tests.unit.berths.test_berths_disk import installed
installed(Path(sys.argv[1]), NEW)
"""


async def test_whatever_the_disk_held_when_the_power_went_the_box_starts_and_ends_updated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    box = AgentBox(tmp_path / "state")
    box.blobs.add(OLD, NEW)
    await box.lives(OLD, "0.3.0")
    disk = Disk(box.folder, tmp_path / "images")
    with disk.watched():
        await box.lives(NEW, "0.3.1")
    images = sorted((tmp_path / "images").iterdir())
    print(f"{disk.count} writes, {len(images)} images")
    assert disk.count > 20
    for number, image in enumerate(images):
        found = AgentBox(image)
        found.blobs.add(NEW)
        assert found.whole(), image.name
        assert launcher.picked(image / FOLDER, found._loads) != OUTSIDE, image.name  # the old agent or the new one
        if number % LIVED == 0:
            assert (await found.lives(NEW, "0.3.1")).active == NEW.digest, image.name


def test_an_environment_that_was_killed_while_it_was_made_is_none(tmp_path: Path) -> None:
    chance = random.Random(7)
    for _ in range(KILLS):
        command = [sys.executable, "-c", INSTALLING, str(tmp_path)]
        making = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.5, 4.0))
        done = making.poll() is not None
        os.killpg(making.pid, signal.SIGKILL) if not done else None
        making.wait()
        berths = DiskBerths(tmp_path, "")
        assert done or berths.release("a") is None or launcher.loads(launcher.python_of(tmp_path / FOLDER, "a"))
    subprocess.run([sys.executable, "-c", INSTALLING, str(tmp_path)], check=True)
    assert DiskBerths(tmp_path, "").release("a") == NEW.digest
    assert launcher.loads(launcher.python_of(tmp_path / FOLDER, "a"))
