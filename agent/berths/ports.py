"""Berths: what the agent's own update does to the box. Adapter: agent.adapters.berths_disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from agent.berths.choice import Choice
from agent.update.verify import VerifiedBytes, VerifiedRelease
from protos.ids import Digest
from protos.manifest import FileEntry


class Berths(Protocol):
    """`running`: where this process runs; "" where no launcher started it."""

    running: str

    def choice(self) -> Choice: ...

    def choose(self, choice: Choice) -> None:
        """Durable when it returns. Raises Retryable, DiskFull, Fatal: what was chosen before still is."""
        ...

    def release(self, berth: str) -> Digest | None:
        """What was installed there, all of it; None: nothing whole."""
        ...

    def install(self, berth: str, release: VerifiedRelease, read: Callable[[FileEntry], VerifiedBytes]) -> None:
        """Make that berth anew, whole and durable, from these files alone. It takes a minute: called in a thread.

        Raises:
            Rejected: it cannot be installed here, or what it installs is no agent of that version.
            Damaged: a file changed on the disk.
            Retryable, DiskFull, Fatal: the box.
        """
        ...
