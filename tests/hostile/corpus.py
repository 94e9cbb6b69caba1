"""All hostile models, in one order that never changes, and a sample of them by seed."""

from __future__ import annotations

import random

from tests.hostile import bombs, damaged, outside, structure
from tests.hostile.building import Hostile

EVERY_FAMILY = 1  # of each family at least, in a sample


def everything(canary: str = "/nowhere/canary.bin") -> list[Hostile]:
    """`canary`: full path of a file that no model may open."""
    return [*outside.family(canary), *bombs.family(), *structure.family(), *damaged.family()]


def sample(all_of_them: list[Hostile], count: int, seed: int) -> list[Hostile]:
    """Of every family some, then at random."""
    dice = random.Random(seed)
    shuffled = dice.sample(all_of_them, len(all_of_them))
    chosen: list[Hostile] = []
    for family in sorted({each.family for each in shuffled}):
        chosen += [each for each in shuffled if each.family == family][:EVERY_FAMILY]
    others = [each for each in shuffled if each not in chosen]
    return (chosen + others)[: max(count, 0)]
