"""What was confirmed answers again, whatever is wrong with the box or its disk, and nothing whole is thrown away."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.state_sqlite import SqliteState
from agent.errors import DiskFull
from agent.update.machine import State
from protos.errors import Fatal, LongshoreError, Rejected, Retryable
from protos.ids import Digest, hex_of
from tests.sim import releases
from tests.sim.releases import MadeRelease
from tests.unit.update.conftest import QUAY, Box

OLD, NEW, NEWER = releases.make("1.0.0"), releases.make("2.0.0"), releases.make("3.0.0")


def blob(box: Box, digest: Digest) -> Path:
    return box.folder / "blobs" / "sha256" / hex_of(digest)


def kept(box: Box, release: MadeRelease) -> bool:
    return all(blob(box, digest).is_file() for digest in release.blobs)


async def boot(box: Box, wanted: MadeRelease, prepare: Callable[[], None] = lambda: None) -> None:
    """The power comes back, with no network; `prepare` is called before anything is tried."""
    await box.power_cut()
    box.blobs.away = True
    box.start({QUAY: wanted.digest})
    prepare()


async def wait(box: Box, seconds: int) -> None:
    for _ in range(seconds):
        await box.clock.advance(1)
        await box.until(lambda: bool(box.clock.sleeping))


@pytest.mark.parametrize("call", ["open", "stat"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES])
async def test_a_disk_that_fails_to_read_for_a_while_loses_nothing(
    box: Box, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    await box.install(OLD)
    real = getattr(Path, call)

    def failing(path: Path, *arguments: Any, **more: Any) -> Any:
        if path.name == hex_of(OLD.model_digest):
            raise OSError(number, os.strerror(number))
        return real(path, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, call, failing)
        await boot(box, OLD)
        await wait(box, 120)
        assert (box.report.active, os.strerror(number) in box.report.message) == ("", True)
    assert kept(box, OLD)
    await box.until(lambda: box.settled_on(OLD), step=1.0)
    assert box.report.message == ""


@pytest.mark.parametrize(
    "trouble",
    [
        Retryable("the GPU does not start"),
        Fatal("no GPU here; mend it"),
        Rejected("the runtime knows no such operator"),
    ],
)
async def test_a_release_that_does_not_load_after_a_start_is_tried_for_ever(box: Box, trouble: LongshoreError) -> None:
    await box.install(OLD)
    await boot(box, OLD, lambda: setattr(box.serving, "trouble", trouble))
    await wait(box, 3600)
    assert (box.report.active, box.report.message) == ("", f"nothing answers: {trouble}")
    assert kept(box, OLD)
    box.serving.trouble = None
    await box.until(lambda: box.settled_on(OLD), step=1.0)


async def test_a_release_at_fault_gives_way_to_the_one_before_at_once_and_keeps_its_files(box: Box) -> None:
    await box.install(OLD)
    await box.install(NEW)
    await boot(box, NEW, lambda: box.serving.refuses.add(NEW.digest))
    now = box.clock.monotonic()
    await box.until(lambda: box.serving.answers(QUAY) == OLD.digest)
    assert box.clock.monotonic() == now
    assert kept(box, NEW)


async def test_a_fault_of_the_box_brings_the_one_before_back_only_when_it_lasts(box: Box) -> None:
    await box.install(OLD)
    await box.install(NEW)
    await boot(box, NEW, lambda: box.serving.short_for.add(NEW.digest))
    await wait(box, 10)
    assert box.serving.answers(QUAY) is None
    await box.until(lambda: box.serving.answers(QUAY) == OLD.digest, step=1.0)
    assert kept(box, NEW)
    box.serving.short_for.clear()
    await box.install(NEW)  # it is still wanted


async def test_what_is_wanted_was_refused_and_what_answered_is_damaged_so_that_is_fetched_again(box: Box) -> None:
    await box.install(OLD)
    box.serving.unhealthy.add(NEW.digest)
    box.blobs.add(NEW)
    box.offer(NEW)
    await box.reach(State.FAILED, NEW)
    await boot(box, NEW, lambda: blob(box, OLD.model_digest).unlink())
    await wait(box, 600)
    assert box.report.active == ""
    assert "network is away" in box.report.message
    box.blobs.away = False
    await box.until(lambda: box.report.active == OLD.digest, step=1.0)
    assert (box.report.state, box.report.refused) == (State.FAILED, (NEW.digest,))
    assert box.report.message.startswith("did not stay healthy")
    await box.power_cut()
    box.start({QUAY: NEW.digest})
    await box.until(lambda: box.serving.answers(QUAY) == OLD.digest)


async def test_a_manifest_that_is_gone_is_fetched_again_as_well(box: Box) -> None:
    await box.install(OLD)
    await boot(box, OLD, lambda: blob(box, OLD.digest).unlink())
    box.blobs.away = False
    await box.until(lambda: box.settled_on(OLD), step=1.0)


async def test_fetching_again_goes_on_where_the_wire_broke(box: Box) -> None:
    await box.install(OLD)
    box.blobs.sent.clear()
    await boot(box, OLD, lambda: blob(box, OLD.model_digest).unlink())
    box.blobs.away, box.blobs.break_after = False, 10_000
    await box.until(lambda: box.settled_on(OLD), step=1.0)
    assert box.blobs.sent[OLD.model_digest] == len(OLD.model)


async def test_a_source_that_has_other_bytes_is_asked_once_a_wait(box: Box) -> None:
    await box.install(OLD)
    box.blobs.sent.clear()
    box.blobs.wrong[OLD.model_digest] = b"!" + OLD.model[1:]
    await boot(box, OLD, lambda: blob(box, OLD.model_digest).unlink())
    box.blobs.away = False
    await wait(box, 600)
    assert box.blobs.sent[OLD.model_digest] < 30 * len(OLD.model)
    box.blobs.wrong.clear()
    await box.until(lambda: box.settled_on(OLD), step=1.0)


@pytest.mark.parametrize("network", ["away", "hanging", "without the file"])
async def test_what_answered_comes_back_while_a_newer_release_does_not_arrive(box: Box, network: str) -> None:
    await box.install(OLD)
    await boot(box, NEW, lambda: setattr(box.serving, "trouble", Retryable("the GPU does not start")))
    box.blobs.add(*[NEW] if network != "without the file" else [])
    box.blobs.away, box.blobs.hang = network == "away", network == "hanging"
    await box.until(lambda: box.report.state is State.PULLING)
    await wait(box, 300)
    assert (box.report.state, box.report.active) == (State.PULLING, "")
    box.serving.trouble = None
    await box.until(lambda: box.report.active == OLD.digest, step=1.0)
    assert box.report.state is State.PULLING


async def test_damaged_bytes_are_fetched_while_a_newer_release_does_not_arrive(box: Box) -> None:
    await box.install(OLD)
    await boot(box, NEW, lambda: blob(box, OLD.model_digest).unlink())
    box.blobs.away = False  # and nobody pushed the new one
    await box.until(lambda: box.report.active == OLD.digest, step=1.0)
    assert box.report.state is State.PULLING


async def test_a_newer_release_goes_on_while_what_answered_does_not_come_back(box: Box) -> None:
    await box.install(OLD)
    await boot(box, NEW, lambda: box.serving.refuses.add(OLD.digest))
    box.blobs.away = False
    await box.install(NEW)
    assert kept(box, OLD)


@pytest.mark.parametrize("state", [State.IDLE, State.PULLING])
async def test_a_full_disk_does_not_keep_what_answered_from_coming_back(
    box: Box, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    await box.install(OLD)
    if state is State.PULLING:
        box.blobs.away = True
        box.offer(NEW)
        await box.reach(State.PULLING, NEW)

    def full(*_: object) -> None:
        raise DiskFull("free some")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteState, "put", full)
        await boot(box, NEW, lambda: setattr(box.serving, "trouble", Retryable("the GPU does not start")))
        await wait(box, 300)
        assert (box.report.state, box.report.active) == (state, "")
        box.serving.trouble = None
        await box.until(lambda: box.report.active == OLD.digest, step=1.0)


async def test_what_answered_comes_back_while_a_newer_release_gets_no_memory(box: Box) -> None:
    await box.install(OLD)
    await boot(box, NEW, lambda: box.serving.short_for.update([OLD.digest, NEW.digest]))
    box.blobs.add(NEW)
    box.blobs.away = False
    await box.reach(State.WARMING, NEW)
    await wait(box, 300)
    box.serving.short_for.discard(OLD.digest)
    await box.until(lambda: box.report.active == OLD.digest, step=1.0)
    assert box.report.state is State.WARMING
    box.serving.short_for.clear()
    await box.install(NEW)


async def test_after_a_roll_back_to_what_never_loaded_nothing_is_said_to_answer_until_it_does(box: Box) -> None:
    await box.install(OLD)
    await boot(box, NEW, lambda: box.serving.refuses.add(OLD.digest))
    box.serving.unhealthy.add(NEW.digest)
    box.blobs.add(NEW)
    box.blobs.away = False
    report = await box.reach(State.FAILED, NEW)
    assert (report.active, report.refused) == ("", (NEW.digest,))
    assert "it was taken away again" in report.message
    box.serving.refuses.clear()
    await box.until(lambda: box.report.active == OLD.digest, step=1.0)
    assert box.serving.answers(QUAY) == OLD.digest
