"""One changed byte at a time in what a box downloads: each is refused, or what is approved and loaded is the same.

The box runs OLD; NEW is signed and assigned. A trial serves one file with one byte changed and asks for NEW as an
update does: approve, pull, verify. What answers is looked at after each.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agent.update import steps
from agent.update.verify import VerifiedRelease
from protos.errors import LongshoreError
from protos.ids import Digest
from tests.sim import releases
from tests.sim.signed_repository import QUAY, SignedRepository
from tests.sim.signed_update import UpdatedBox

OLD, NEW = releases.make("1.0.0", 3_000), releases.make("2.0.0", 3_000)
BLOB = "blob "
EVERY = ("timestamp.json", "snapshot.json", "manifest")  # each byte of these is changed


@dataclass(frozen=True)
class Flip:
    """`file`: of metadata, or `blob <digest>`."""

    file: str
    position: int
    change: int  # XOR


@dataclass(frozen=True)
class Installed:
    """What an engine would load: the release, and what lies on disk under the digest of each file."""

    release: VerifiedRelease
    files: dict[Digest, bytes]


@dataclass
class Tally:
    """`wrong`: sentences; empty where all holds."""

    refused: Counter[str] = field(default_factory=Counter)  # by file
    same: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Flips:
    """On one box, whose disk is set back to where OLD answers before each trial."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = SignedRepository()

    async def begin(self) -> None:
        """OLD answers; NEW is published, under a root that is new as well; what it looks like unchanged is noted."""
        self.repository.deploy(OLD, "1.0.0")
        box = UpdatedBox(self.folder / "old", self.repository, OLD, NEW)
        box.offer(OLD)
        await box.until(lambda: box.runs(OLD))
        await box.close()
        self.repository.rotate("targets")
        for role in ("targets", "models"):
            self.repository.write(role)
        self.repository.deploy(NEW, "2.0.0")
        self.honest = dict(self.repository.files)
        self.repository.asked.clear()
        self.proven = await self._asked(None)
        assert isinstance(self.proven, Installed)
        fetched = dict.fromkeys(name for name in self.repository.asked if name in self.honest)
        self.files = {name: self.honest[name] for name in fetched}
        self.files |= {BLOB + digest: content for digest, content in NEW.blobs.items() if digest not in OLD.blobs}

    def everywhere(self) -> Iterator[Flip]:
        """Every byte of timestamp, snapshot and manifest."""
        for name, content in self.files.items():
            if _kind(name) in EVERY:
                for position in range(len(content)):
                    yield Flip(name, position, 1 << position % 8)

    def some(self, count: int, seed: int) -> Iterator[Flip]:
        """Of all files alike, whatever their size."""
        chance = random.Random(seed)
        names = list(self.files)
        for _ in range(count):
            name = chance.choice(names)
            yield Flip(name, chance.randrange(len(self.files[name])), chance.randrange(1, 256))

    async def run(self, flip: Flip, tally: Tally) -> None:
        kind = _kind(flip.file)
        got = await self._asked(flip)
        if isinstance(got, LongshoreError):
            tally.refused[kind] += 1
        elif got == self.proven:
            tally.same[kind] += 1
        else:
            tally.wrong.append(f"{flip}: {got}")

    async def _asked(self, flip: Flip | None) -> Installed | LongshoreError:
        shutil.rmtree(self.folder / "box", ignore_errors=True)
        shutil.copytree(self.folder / "old", self.folder / "box", symlinks=True)
        box = UpdatedBox(self.folder / "box", self.repository, OLD, NEW)
        self._serve(flip, box)
        await box.updater.close()  # its steps are made here, one after the other
        try:
            return await self._update(box)
        except LongshoreError as error:
            return error
        finally:
            self.repository.files = dict(self.honest)
            await box.close()

    async def _update(self, box: UpdatedBox) -> Installed:
        ports = box.updater._around.ports
        try:
            approval = await steps.approve(ports, QUAY, NEW.digest)
            await steps.pull(ports, approval, lambda *_: None)
            release = await steps.verify(ports, approval)
            digests = [NEW.digest, *(entry.digest for entry in release.manifest.files)]
            return Installed(release, {digest: box.releases.read(digest) for digest in digests})
        finally:
            assert (await steps.verify(ports, ports.approvals[OLD.digest])).digest == OLD.digest

    def _serve(self, flip: Flip | None, box: UpdatedBox) -> None:
        if flip is None:
            return
        content = bytearray(self.files[flip.file])
        content[flip.position] ^= flip.change
        if flip.file.startswith(BLOB):
            box.blobs.wrong[Digest(flip.file.removeprefix(BLOB))] = bytes(content)
        else:
            self.repository.files[flip.file] = bytes(content)


def _kind(name: str) -> str:
    """Of a file, without its version."""
    if name.startswith(BLOB):
        return "manifest" if name.endswith(NEW.digest) else "file"
    return name.split(".", 1)[1] if name[0].isdigit() else name
