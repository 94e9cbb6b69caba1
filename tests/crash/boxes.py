"""Stories of updates, and boxes that live them in processes of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.crash.lives import Lives
from tests.crash.world import Boot, Seen


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


class Boxes(Lives[Boot, Seen]):
    """Boxes that live stories."""

    def __init__(self, folder: Path) -> None:
        super().__init__("tests.crash.world", Seen, folder)

    def of(self, story: Story) -> Path:
        """A state directory in which `story.before` answers."""
        return self.fresh(f"{story.before}-{story.signed}", lambda folder: self._before(story, folder))

    def _before(self, story: Story, folder: Path) -> None:
        if story.before is not None:
            seen = self.live(Boot(str(folder), story.before, signed=story.signed))
            assert (seen.answers, seen.error) == (story.before, "")
            (folder / "sent").unlink()
