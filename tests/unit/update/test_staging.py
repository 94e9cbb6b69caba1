"""Between versions only chunks travel that the box does not have; whatever tables say, the file is the right one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable

import pytest

from agent.update.machine import State
from controlplane.registry import chunking
from protos import chunks
from protos.chunks import MOST
from protos.errors import Retryable
from protos.ids import Digest, hex_of
from tests.sim.releases import MadeRelease, content, make
from tests.unit.update.conftest import QUAY, Box

BACKBONE = content("backbone", 1_500_000)
OLD = make("1.0.0", model=BACKBONE + content("old head", 20_000))
NEW = make("2.0.0", model=BACKBONE[:700_000] + b"one more word" + BACKBONE[700_000:] + content("new head", 20_000))
FEW = 5 * MOST  # bytes: the head, and the chunks around what was put in


@pytest.fixture
async def box(box: Box) -> Box:
    """It answers with the old release; the new one is there to be had."""
    await box.install(OLD)
    box.blobs.add(NEW)
    box.blobs.cut()
    box.blobs.fetches.clear()
    return box


async def update(box: Box, release: MadeRelease = NEW) -> None:
    box.offer(release)
    await box.until(lambda: box.settled_on(release), step=1.0)
    assert box.releases.read(release.model_digest) == release.model


def asked_for(box: Box, digest: Digest) -> list[int]:
    return [offset for fetched, offset in box.blobs.fetches if fetched == digest]


async def test_only_what_the_box_lacks_is_fetched(box: Box) -> None:
    await update(box)
    assert box.blobs.sent[NEW.model_digest] <= FEW
    assert len(asked_for(box, NEW.model_digest)) == 2
    assert box.report.bytes_done == box.report.bytes_total == NEW.total


async def test_a_first_release_asks_for_no_table(box: Box) -> None:
    assert box.blobs.asked == []


async def test_a_small_file_asks_for_no_table(box: Box) -> None:
    small = make("3.0.0", size=chunks.SMALLEST_FILE - 1)
    await box.install(small)
    assert box.blobs.asked == []


async def test_without_tables_the_whole_file_comes(box: Box) -> None:
    """As from an older control plane."""
    box.blobs.tables.clear()
    await update(box)
    assert box.blobs.sent[NEW.model_digest] == len(NEW.model)


async def test_where_only_the_older_file_has_no_table_the_whole_file_comes(box: Box) -> None:
    del box.blobs.tables[OLD.model_digest]
    await update(box)
    assert box.blobs.sent[NEW.model_digest] == len(NEW.model)


async def test_a_file_that_shares_nothing_comes_in_one_go(box: Box) -> None:
    other = make("3.0.0", size=1_000_000)
    box.blobs.add(other)
    box.blobs.cut()
    await update(box, other)
    assert asked_for(box, other.model_digest) == [0]
    assert box.blobs.sent[other.model_digest] == len(other.model)


async def test_nothing_that_is_staged_is_fetched_again_after_cuts_and_a_reboot(box: Box) -> None:
    box.blobs.break_after = 20_000
    box.offer(NEW)
    await box.until(lambda: len(asked_for(box, NEW.model_digest)) > 1, step=1.0)
    await box.power_cut()
    box.start({QUAY: NEW.digest})
    await box.until(lambda: box.settled_on(NEW), step=1.0)
    assert box.releases.read(NEW.model_digest) == NEW.model
    assert box.blobs.sent[NEW.model_digest] <= FEW
    assert len(asked_for(box, NEW.model_digest)) > 3


async def test_a_part_that_a_power_cut_spoiled_costs_what_it_cost_before(box: Box) -> None:
    box.blobs.break_after = 20_000
    box.offer(NEW)
    part = box.folder / "staging" / f"{hex_of(NEW.model_digest)}.part"
    await box.until(lambda: box.releases.staged(NEW.model_digest) > 700_000, step=1.0)
    await box.power_cut()
    part.write_bytes(bytes(part.stat().st_size))
    box.blobs.break_after = None
    box.start({QUAY: NEW.digest})
    await box.until(lambda: box.settled_on(NEW), step=1.0)
    assert box.releases.read(NEW.model_digest) == NEW.model
    assert box.blobs.sent[NEW.model_digest] <= 2 * FEW


async def test_a_chunk_that_rotted_on_this_box_costs_that_chunk(box: Box) -> None:
    path = box.folder / "blobs" / "sha256" / hex_of(OLD.model_digest)
    path.write_bytes(OLD.model[:300_000] + b"rotten" + OLD.model[300_006:])
    await update(box)
    assert box.blobs.sent[NEW.model_digest] <= FEW + MOST


async def test_an_older_file_that_is_another_one_altogether_costs_the_whole_file_and_few_requests(box: Box) -> None:
    path = box.folder / "blobs" / "sha256" / hex_of(OLD.model_digest)
    path.write_bytes(bytes(len(OLD.model)))
    await update(box)
    assert box.blobs.sent[NEW.model_digest] == len(NEW.model)
    assert len(asked_for(box, NEW.model_digest)) < 15


def shuffled(table: Iterable[chunks.Chunk]) -> bytes:
    """All chunks are there, in another order."""
    *most, last = ((chunk.stop - chunk.start, chunk.sha256) for chunk in table)
    return chunks.to_bytes([*reversed(most), last])


async def test_a_wrong_table_costs_one_whole_fetch_and_is_never_believed(box: Box) -> None:
    table = chunks.parse(box.blobs.tables[NEW.model_digest], len(NEW.model))
    box.blobs.tables[NEW.model_digest] = shuffled(table)
    await update(box)
    assert len(NEW.model) <= box.blobs.sent[NEW.model_digest] <= len(NEW.model) + FEW


@pytest.mark.parametrize("bytes_between_breaks", [30_000, 400_000])
async def test_a_wrong_table_is_not_tried_for_ever_when_the_wire_breaks(box: Box, bytes_between_breaks: int) -> None:
    table = chunks.parse(box.blobs.tables[NEW.model_digest], len(NEW.model))
    box.blobs.tables[NEW.model_digest] = shuffled(table)
    box.blobs.break_after = bytes_between_breaks
    await update(box)
    assert box.blobs.sent[NEW.model_digest] <= len(NEW.model) + 2 * FEW
    assert box.report.refused == ()


@pytest.mark.parametrize(
    "table",
    [b"no table", chunking.table([content("another file", 1_000_000)]), b"LSC1", b"LSC1" + bytes(36 * 10)],
)
async def test_what_is_no_table_of_that_file_is_as_good_as_none(box: Box, table: bytes) -> None:
    box.blobs.tables[NEW.model_digest] = table
    await update(box)
    assert asked_for(box, NEW.model_digest) == [0]


async def test_a_table_of_the_older_file_that_lies_is_found_out_chunk_by_chunk(box: Box) -> None:
    table = chunks.parse(box.blobs.tables[OLD.model_digest], len(OLD.model))
    box.blobs.tables[OLD.model_digest] = shuffled(table)
    await update(box)
    assert box.blobs.sent[NEW.model_digest] <= len(NEW.model)


async def test_a_source_whose_file_ends_early_is_refused_as_ever(box: Box) -> None:
    box.blobs.wrong[NEW.model_digest] = NEW.model[:600_000]
    box.offer(NEW)
    await box.reach(State.FAILED, NEW)
    assert box.report.active == OLD.digest


async def test_nothing_is_copied_behind_a_range_that_came_short(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    real, times = box.blobs.fetch, iter(range(10))

    def short(
        digest: Digest, offset: int, rate: float = 0.0, /, *, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        first = digest == NEW.model_digest and next(times) == 0
        return real(digest, offset, rate, stop=offset + 100 if first else stop)

    monkeypatch.setattr(box.blobs, "fetch", short)
    await update(box)
    assert box.blobs.sent[NEW.model_digest] < len(NEW.model)


async def test_a_control_plane_that_is_busy_cutting_is_asked_again(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    real, times = box.blobs.table, iter(range(10))

    async def busy(digest: Digest, most: int) -> bytes | None:
        if next(times) < 2:
            raise Retryable("another file is being cut into chunks right now", 2.0)
        return await real(digest, most)

    monkeypatch.setattr(box.blobs, "table", busy)
    await update(box)
    assert box.blobs.sent[NEW.model_digest] <= FEW


async def test_the_older_release_may_be_of_another_model(box: Box) -> None:
    theirs = make("1.0.0", name="yard", model=NEW.model)
    box.blobs.add(theirs)
    box.blobs.cut()
    await update(box, theirs)
    assert box.blobs.sent[theirs.model_digest] <= FEW
