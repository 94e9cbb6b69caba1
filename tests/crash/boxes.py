"""Stories of updates, and boxes that live them in processes of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.crash.world import Boot, Seen

SHARED_MEMORY = Path("/dev/shm")  # kill -9 keeps the page cache, so nothing is proven by waiting for a disk


@dataclass(frozen=True)
class Story:
    """One update: what answered before, what is wanted, what must answer after any crash and at the end."""

    name: str
    before: str | None
    wants: str | None
    meanwhile: frozenset[str | None]
    after: str | None
    unhealthy: bool = False
    damaged: bool = False
    supersede: bool = False
    signed: bool = False

    def boot(self, folder: Path, **more: object) -> Boot:
        known = Boot(
            str(folder),
            self.wants,
            unhealthy=self.unhealthy,
            damaged=self.damaged,
            supersede=self.supersede,
            signed=self.signed,
        )
        return msgspec.structs.replace(known, **more)


class Boxes:
    """Boots boxes in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "tests.crash.world"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._templates: dict[str | None, Path] = {}

    def boot(self, boot: Boot) -> Seen:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(boot).decode() + "\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=Seen)

    def fresh(self, story: Story) -> Path:
        """A state directory in which `story.before` answers."""
        if story.before not in self._templates:
            self._templates[story.before] = self._template(story.before, signed=story.signed)
        folder = self.folder / "box"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._templates[story.before], folder)
        return folder

    def close(self) -> None:
        self._process.communicate(timeout=10)

    def _template(self, before: str | None, *, signed: bool) -> Path:
        folder = self.folder / f"template-{before}"
        folder.mkdir()
        if before is not None:
            seen = self.boot(Boot(str(folder), before, signed=signed))
            assert (seen.answers, seen.error) == (before, "")
            (folder / "sent").unlink()
        return folder
