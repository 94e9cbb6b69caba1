"""The disk fails, the box is at fault, the agent makes a mistake: what answers goes on, and no release is blamed."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import files
from agent.adapters.release_store import DiskReleaseStore
from agent.errors import Damaged, DiskFull
from agent.trust.agreement import confirmed_before
from agent.trust.kept import Approvals
from agent.update import steps, verify
from agent.update.machine import LIMITS, State
from agent.update.steps import Ports
from protos.errors import Fatal, LongshoreError, Retryable
from protos.ids import digest_of, hex_of
from tests.sim import releases
from tests.unit.update.conftest import QUAY, Box

OLD, NEW = releases.make("1.0.0"), releases.make("2.0.0")
CONTENT = b"a labels file that two releases share"
SHARED = digest_of(CONTENT)


# ---- the store ----


@pytest.fixture
def store(tmp_path: Path) -> DiskReleaseStore:
    return DiskReleaseStore(tmp_path)


def stage(store: DiskReleaseStore) -> None:
    store.append(SHARED, CONTENT)
    store.complete(SHARED)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EMFILE, Retryable), (errno.EIO, Retryable), (errno.EACCES, Fatal), (errno.ENOSPC, DiskFull)],
)
def test_a_disk_that_fails_is_no_damage(
    store: DiskReleaseStore, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[LongshoreError]
) -> None:
    stage(store)
    store.keep(SHARED)

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        for call in ("open", "stat"):
            patch.setattr(Path, call, fail)
        patch.setattr(os, "statvfs", fail)
        for ask in (store.has, store.read, store.facts, store.staged):
            with pytest.raises(kind):
                ask(SHARED)
        with pytest.raises(kind):
            store.free_bytes()
    assert store.read(SHARED) == CONTENT


def test_what_is_not_there_is_damage(store: DiskReleaseStore) -> None:
    with pytest.raises(Damaged) as missing:
        store.read(SHARED)
    assert missing.value.digests == (SHARED,)
    assert (store.has(SHARED), store.facts(SHARED), store.staged(SHARED)) == (False, None, 0)


def meanwhile(store: DiskReleaseStore) -> threading.Thread:
    """Another deployment, of the same file, verifies it; it gets as far as it may."""
    other = threading.Thread(target=store.keep, args=(SHARED,))
    other.start()
    other.join(0.1)
    return other


def test_a_file_is_seen_while_another_deployment_gives_it_its_name(
    store: DiskReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(store)
    real, others = Path.open, list[threading.Thread]()

    def open_slowly(path: Path, *arguments: Any, **more: Any) -> Any:
        try:
            return real(path, *arguments, **more)
        finally:
            if path.name == hex_of(SHARED):
                others.append(meanwhile(store))

    monkeypatch.setattr(Path, "open", open_slowly)
    facts = store.facts(SHARED)
    others[0].join()
    assert facts == verify.FileFacts(len(CONTENT), SHARED)
    assert store.read(SHARED) == CONTENT


def test_a_file_is_kept_once_by_two_deployments(store: DiskReleaseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stage(store)
    real, others = files.sync_file, list[threading.Thread]()

    def sync_slowly(path: Path) -> None:
        real(path)
        if threading.current_thread() is threading.main_thread():
            others.append(meanwhile(store))

    monkeypatch.setattr(files, "sync_file", sync_slowly)
    store.keep(SHARED)
    for other in others:
        other.join()
    assert store.read(SHARED) == CONTENT


# ---- the update ----


async def test_a_kept_file_that_changed_on_the_disk_is_not_said_to_have_changed_on_the_way(box: Box) -> None:
    await box.install(OLD)
    ports = Ports(box.blobs, box.releases, box.serving, box.trust, Approvals(box.state))
    path = box.folder / "blobs" / "sha256" / hex_of(OLD.model_digest)
    path.write_bytes(b"!" + OLD.model[1:])
    with pytest.raises(Damaged, match=r"model\.onnx is not .*; what lies on this box's disk is not what was signed"):
        await steps.verify(ports, confirmed_before(OLD.digest))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
async def test_a_disk_that_fails_while_verifying_is_waited_out_and_blames_no_release(
    box: Box, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    await box.install(OLD)
    box.blobs.add(NEW)
    with monkeypatch.context() as patch:
        patch.setattr(files, "finalise", failing_finalise(number))
        box.offer(NEW)
        told = os.strerror(number) if number != errno.ENOSPC else "free some"
        await box.until(lambda: told in box.report.message)
        await box.minutes(20)
        assert (box.report.state, box.report.refused, box.report.active) == (State.VERIFYING, (), OLD.digest)
        assert told in box.report.message
    await box.install(NEW)
    assert box.blobs.sent[NEW.model_digest] == len(NEW.model)


def failing_finalise(number: int) -> Any:
    def finalise(part: Path, final: Path) -> None:
        with files.translated(final):
            if final.name == hex_of(NEW.model_digest):
                raise OSError(number, os.strerror(number))
        real(part, final)

    real = files.finalise
    return finalise


@pytest.mark.parametrize("trouble", [Fatal("the disk is read-only; mount it writable"), DiskFull("free some")])
async def test_a_record_that_cannot_be_written_holds_the_update_and_is_told_until_it_can(
    box: Box, monkeypatch: pytest.MonkeyPatch, trouble: LongshoreError
) -> None:
    await box.install(OLD)
    box.blobs.add(NEW)

    def fail(*_: object) -> None:
        raise trouble

    with monkeypatch.context() as patch:
        patch.setattr(type(box.state), "put", fail)
        box.offer(NEW)
        await box.until(lambda: str(trouble) in box.report.message)
        await box.minutes(20)
        assert (box.report.state, box.report.active) == (State.IDLE, OLD.digest)
        assert str(trouble) in box.report.message
    await box.install(NEW)
    assert (box.report.message, box.updater.problems()) == ("", [])


async def test_of_a_disk_that_fills_up_only_what_is_true_now_is_told(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    await box.install(OLD)
    box.blobs.add(NEW)
    free = {"bytes": 3 << 20}
    monkeypatch.setattr(type(box.releases), "free_bytes", lambda _: free["bytes"])
    box.offer(NEW)
    await box.until(lambda: "the disk has 3.0 MiB" in box.report.message)
    await box.minutes(5)  # that is in its record now

    def fail(*_: object) -> None:
        raise DiskFull("no space left for state.db; free some")

    with monkeypatch.context() as patch:
        patch.setattr(type(box.state), "put", fail)
        free["bytes"] = 0
        await box.minutes(5)
        assert box.report.message.count("the disk has") == 1
        assert "the disk has 0.0 MiB; free some" in box.report.message
        assert "state.db" not in box.report.message
        free["bytes"] = 1 << 30
        told = "no space left for state.db; free some"
        await box.until(lambda: box.report.message == told, step=1.0)
    await box.install(NEW)
    assert box.report.message == ""


async def test_a_confirmed_release_whose_record_cannot_be_written_stays_and_is_not_undone(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    await box.install(OLD)
    box.blobs.add(NEW)
    box.offer(NEW)
    await box.until(lambda: box.report.state is State.CONFIRMING)

    def fail(*_: object) -> None:
        raise DiskFull("free some")

    with monkeypatch.context() as patch:
        patch.setattr(type(box.state), "put", fail)
        await box.minutes(20)
        box.offer(OLD)
        await box.minutes(20)
        assert box.serving.answers(QUAY) == NEW.digest
    await box.until(lambda: box.settled_on(OLD), step=1.0)
    assert [digest for _, digest in box.serving.history] == [OLD.digest, NEW.digest, OLD.digest]


async def test_a_mistake_of_ours_is_logged_with_its_trace_and_the_update_goes_on(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    await box.install(OLD)
    box.serving.mistaken.add(NEW.digest)
    box.blobs.add(NEW)
    box.offer(NEW)
    await box.until(lambda: "made a mistake" in box.report.message)
    box.serving.mistaken.clear()
    assert "ValueError: a simulated bug" in caplog.text
    assert box.serving.answers(QUAY) == OLD.digest
    await box.install(NEW)
    assert [digest for _, digest in box.serving.history] == [OLD.digest, NEW.digest]
    assert box.report.message == ""


async def test_a_mistake_that_comes_with_a_release_each_time_ends_in_its_refusal(box: Box) -> None:
    await box.install(OLD)
    calls: list[str] = []
    box.serving.during = calls.append
    box.serving.mistaken.add(NEW.digest)
    box.blobs.add(NEW)
    box.offer(NEW)
    await box.reach(State.FAILED, NEW)
    assert calls.count(f"warm {NEW.digest}") == LIMITS[State.WARMING]
    assert box.serving.answers(QUAY) == OLD.digest
    await box.install(releases.make("3.0.0"))


async def test_a_mistake_while_coming_back_does_not_keep_a_newer_release_away(box: Box) -> None:
    await box.install(OLD)
    await box.power_cut()
    box.start({QUAY: NEW.digest})
    box.serving.mistaken.add(OLD.digest)
    box.blobs.add(NEW)
    await box.until(lambda: box.settled_on(NEW), step=1.0)


async def test_a_deployment_withdrawn_after_a_mistake_leaves(box: Box) -> None:
    box.serving.mistaken.add(OLD.digest)
    box.blobs.add(OLD)
    box.offer(OLD)
    await box.until(lambda: "made a mistake" in box.report.message)
    box.updater.offer({})
    await box.until(lambda: not box.updater.reports(), step=1.0)


async def test_two_deployments_of_one_release_share_its_download(box: Box) -> None:
    box.blobs.add(OLD)
    box.offer(OLD, OLD)
    await box.until(lambda: {r.active for r in box.updater.reports()} == {OLD.digest}, step=1.0)
    assert box.blobs.sent[OLD.model_digest] == len(OLD.model)
    assert [r.message for r in box.updater.reports()] == ["", ""]


async def test_the_model_is_hashed_beside_the_loop(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bool] = []

    def proven(entry: Any, content: bytes) -> verify.VerifiedBytes:
        hashed.append(threading.current_thread() is threading.main_thread())
        return real(entry, content)

    real = verify.content_of
    monkeypatch.setattr(verify, "content_of", proven)
    await box.install(OLD)
    assert hashed == [False]
