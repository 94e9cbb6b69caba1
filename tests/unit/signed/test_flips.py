"""Whatever byte is changed on the way, it is refused or nothing is different. In full: python -m bench.bench_trust."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sim.flips import BLOB, Flips, Tally

SHARED_MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
EACH = 12  # of the bytes of timestamp, snapshot and manifest, every so many
OTHERS = 120


@pytest.fixture
async def flips(tmp_path: Path) -> AsyncIterator[Flips]:
    with tempfile.TemporaryDirectory(prefix="longshore-flips-", dir=SHARED_MEMORY or tmp_path) as folder:
        made = Flips(Path(folder))
        await made.begin()
        yield made


async def test_a_changed_byte_is_refused_or_changes_nothing(flips: Flips) -> None:
    tally = Tally()
    some = itertools.islice(flips.everywhere(), 0, None, EACH)
    for flip in itertools.chain(some, flips.some(OTHERS, seed=5)):
        await flips.run(flip, tally)
    assert tally.wrong == []
    assert sum(tally.refused.values()) > 0.9 * (sum(tally.same.values()) + sum(tally.refused.values()))


async def test_every_kind_of_file_is_among_those_that_are_changed(flips: Flips) -> None:
    assert {name.split(".", 1)[-1] for name in flips.files if not name.startswith(BLOB)} == {
        "root.json",
        "json",
        "snapshot.json",
        "targets.json",
        "models.json",
        "model-harbour.json",
        "assign.json",
    }
    assert sum(name.startswith(BLOB) for name in flips.files) == 3  # manifest, model, card
