"""What the service manager hears: up, alive, ending; and silence where none listens."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from agent.adapters import notify
from agent.adapters.notify import Notifier
from tests.sim.clock import FakeClock


def listening(path: Path) -> socket.socket:
    door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    door.bind(str(path))
    door.settimeout(5)
    return door


def test_states_arrive(tmp_path: Path) -> None:
    with listening(tmp_path / "notify") as door:
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        for state in (notify.READY, notify.STOPPING):
            notifier.tell(state)
            assert door.recv(100).decode() == state


async def test_signs_of_life_come_three_times_as_often_as_they_are_wanted(tmp_path: Path, clock: FakeClock) -> None:
    with listening(tmp_path / "notify") as door:
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"})
        assert notifier.pause == 20.0
        task = asyncio.create_task(notifier.live(clock))
        for _ in range(3):
            assert await asyncio.to_thread(door.recv, 100) == b"WATCHDOG=1"
            await clock.advance(20.0)
        task.cancel()


def test_where_nobody_listens_nothing_happens(tmp_path: Path) -> None:
    Notifier({}).tell(notify.READY)
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell(notify.READY)
    assert Notifier({}).pause == 0.0
