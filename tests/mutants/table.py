"""All mutants, and a sample by seed of each table."""

from __future__ import annotations

import random

from tests.mutants import (
    accepted,
    deciding,
    distribution,
    keeping,
    signing,
    site,
    staying,
    sticks_and_berths,
    stored,
    telling,
    untrusted,
)
from tests.mutants.mutant import Mutant

TABLES = (
    *(
        accepted.MUTANTS,
        (*deciding.MUTANTS, *staying.MUTANTS, *telling.MUTANTS),
        distribution.MUTANTS,
        keeping.MUTANTS,
        signing.MUTANTS,
    ),
    *(site.MUTANTS, sticks_and_berths.MUTANTS, stored.MUTANTS, untrusted.MUTANTS),
)
MUTANTS: tuple[Mutant, ...] = tuple(mutant for table in TABLES for mutant in table)


def sample(each: int, seed: int) -> list[Mutant]:
    """So many of each table."""
    chance = random.Random(seed)
    return [mutant for table in TABLES for mutant in chance.sample(table, each)]
