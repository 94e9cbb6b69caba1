"""A harbour in which little happens: everything lies still, but for what passes at moments that are known.

Waves, rain, noise, light and moored boats that bob are those of the live scene. What passes is one of its own trucks,
people or boats, so the truth of every moment is known: who is in the picture, and where.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from agent.cameras.harbour_scene import HarbourScene, Truth
from agent.cameras.harbour_scene.motion import Boat, Load, Part, Person, Thing, Truck
from agent.cameras.harbour_scene.sprites import Pixels

INSIDE = 0.5  # of its width at least, or it is not there yet


@dataclass(frozen=True)
class Passage:
    """`label` passes from `start` for `seconds`, all the way across the picture."""

    label: str
    start: float
    seconds: float


@dataclass(frozen=True)
class _Passer:
    """One thing, and when it is there."""

    thing: Boat | Truck | Person
    passage: Passage

    def there(self, t: float) -> bool:
        return 0 <= t - self.passage.start < self.passage.seconds

    def at(self, t: float) -> Boat | Truck | Person:
        """Where it is then: left to right, once across."""
        across = self.thing.span / self.passage.seconds
        return replace(self.thing, start=0.0 - across * self.passage.start, speed=across)


class QuietHarbour(HarbourScene):
    """`see(t)` gives the picture and what passes in it."""

    def __init__(self, seed: int, passages: Iterable[Passage], width: int = 640, height: int = 360) -> None:
        super().__init__(seed, width, height)
        kinds: dict[str, list[Boat | Truck | Person]] = {"boat": list(self._boats), "truck": [], "person": []}
        self._still: list[Thing] = []
        for thing in self._ashore:
            if isinstance(thing, Truck | Person):
                kinds["truck" if isinstance(thing, Truck) else "person"].append(thing)
            elif not isinstance(thing, Load):  # the crane works all day
                self._still.append(thing)
        self._passers = [
            _Passer(kinds[each.label][n % len(kinds[each.label])], each) for n, each in enumerate(passages)
        ]
        self._moored = [replace(boat, speed=0.0) for boat in self._boats]

    def see(self, t: float) -> tuple[Pixels, list[tuple[Passage, Truth]]]:
        """The picture at `t`, and whoever passes in it, with how much of it is to be seen."""
        there = [(each.passage, each.at(t)) for each in self._passers if each.there(t)]
        afloat = [thing for _, thing in there if isinstance(thing, Boat)]
        ashore = [thing for _, thing in there if not isinstance(thing, Boat)]
        self._boats = sorted([*self._moored, *afloat], key=lambda thing: thing.depth)
        self._ashore = sorted([*self._still, *ashore], key=lambda thing: thing.depth)
        picture, truths = self.render(t)
        seen = ((passage, self._truth_of(passage.label, thing.placed(t), truths)) for passage, thing in there)
        return picture, [(passage, truth) for passage, truth in seen if truth is not None]

    def _truth_of(self, label: str, parts: list[Part], truths: list[Truth]) -> Truth | None:
        """Of the thing drawn with these parts: what the scene itself says can be seen of it."""
        width, height = self._layout.width, self._layout.height
        part = next(each for each in parts if each.label == label)
        wide, high = part.sprite.size
        if not -INSIDE * wide <= part.x <= width - INSIDE * wide:
            return None
        window = (part.x / width, (part.base - high) / height, (part.x + wide) / width, part.base / height)
        return next((each for each in truths if each.label == label and _within(each.box, window)), None)


def _within(box: tuple[float, float, float, float], window: tuple[float, float, float, float]) -> bool:
    slack = 0.01
    return all(inner >= outer - slack for inner, outer in zip(box[:2], window[:2], strict=True)) and all(
        inner <= outer + slack for inner, outer in zip(box[2:], window[2:], strict=True)
    )
