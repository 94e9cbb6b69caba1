"""Encoded pictures are decoded by a process of their own: what it costs when one fells it, hangs it or leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.inference import decoder
from agent.inference.datatypes import pack_bytes
from agent.inference.decoder import blamed
from agent.inference.engine import OnnxEngine
from agent.inference.errors import BadInput, Expired
from agent.inference.messages import Failed, Reason
from agent.ports import Place, Tensor
from protos.errors import LongshoreError, Retryable
from sandbox.report import Confined
from tests.sim.models import detector

WELL = pack_bytes([cv2.imencode(".png", np.full((48, 96, 3), 255, np.uint8))[1].tobytes()])
LARGE = pack_bytes(
    [cv2.imencode(".png", np.random.default_rng(1).integers(0, 255, (300, 400, 3), np.uint8))[1].tobytes()]
)


def picture(content: bytes = WELL) -> Tensor:
    return Tensor("image", "BYTES", (1,), content)


class Box:
    """An engine whose decoder runs."""

    def __init__(self) -> None:
        self.said: list[Confined] = []
        self.engine = OnnxEngine("test", on_confined=self.said.append)

    async def start(self) -> None:
        await self.engine.start(detector().spec)
        await self.engine.infer([picture()])

    @property
    def decoder(self) -> int:
        pid = self.engine._fitting.pid
        assert pid
        return pid

    def signal(self, *signals: signal.Signals) -> None:
        for each in signals:
            os.kill(self.decoder, each)

    async def stop(self) -> None:
        """All its threads: on a busy machine one may answer while another has yet to hear of it."""
        self.signal(signal.SIGSTOP)
        async with asyncio.timeout(10):
            while not all(state == "T" for state in states(self.decoder)):  # noqa: ASYNC110 - real threads
                await asyncio.sleep(0.005)

    @property
    def lent(self) -> bool:
        """Is memory of a request still held?"""
        return not all(free.empty for _, free in self.engine._pool._chunks.values())

    async def has_all_back(self) -> None:
        async with asyncio.timeout(10):
            while self.lent:  # noqa: ASYNC110 - a real process is watched
                await asyncio.sleep(0.005)

    async def answers(self) -> None:
        """Again, within the patience of a restart."""
        async with asyncio.timeout(10):
            while True:
                try:
                    await self.engine.infer([picture()])
                except Retryable:
                    await asyncio.sleep(0.02)
                else:
                    return


def process(pid: int | None, what: str) -> str:
    return Path(f"/proc/{pid}/{what}").read_text()


def states(pid: int) -> list[str]:
    return [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()]


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    there = Box()
    await there.start()
    yield there
    await there.engine.close()


async def test_a_picture_that_crashes_its_decoder_is_refused_and_the_model_never_notices(box: Box) -> None:
    model = box.engine.pid
    await box.stop()
    asked = asyncio.ensure_future(box.engine.infer([picture()]))
    await asyncio.sleep(0.05)
    box.signal(signal.SIGSEGV, signal.SIGCONT)
    with pytest.raises(BadInput, match="crash"):
        await asked
    await box.answers()
    assert (box.engine.pid, box.engine.restarts) == (model, 0)
    await box.has_all_back()


async def test_pictures_that_were_lost_with_another_may_be_sent_again(box: Box) -> None:
    await box.stop()
    asked = [asyncio.ensure_future(box.engine.infer([picture()])) for _ in range(3)]
    await asyncio.sleep(0.05)
    box.signal(signal.SIGKILL)
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(end) for end in ends] == [Retryable] * 3
    await box.answers()
    await box.has_all_back()


async def test_a_decoder_that_hangs_is_killed(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "LONGEST_SECONDS", 0.2)
    before = box.decoder
    await box.stop()
    with pytest.raises(Retryable):
        await box.engine.infer([picture()])
    monkeypatch.undo()
    await box.answers()
    assert box.decoder != before


async def test_pictures_do_not_wait_for_a_decoder_that_keeps_falling(box: Box) -> None:
    for _ in range(3):
        await box.answers()
        box.signal(signal.SIGKILL)
        async with asyncio.timeout(10):
            while box.engine._fitting.pid:  # noqa: ASYNC110 - a real process is watched
                await asyncio.sleep(0.005)
    with pytest.raises(Retryable) as refused:
        await box.engine.infer([picture()])
    assert refused.value.after_seconds


@pytest.mark.parametrize("content", [WELL, LARGE], ids=["in the message", "in shared memory"])
async def test_who_leaves_while_his_picture_is_decoded_leaves_nothing_behind(box: Box, content: bytes) -> None:
    await box.stop()
    asked = asyncio.ensure_future(box.engine.infer([picture(content)]))
    await asyncio.sleep(0.05)
    asked.cancel()
    await asyncio.wait([asked])
    assert box.lent, "the decoder may still write there"
    box.signal(signal.SIGCONT)
    await box.answers()
    await box.has_all_back()


async def test_a_picture_whose_time_has_passed_is_not_decoded(box: Box) -> None:
    with pytest.raises(Expired):
        await box.engine.infer([picture(b"")], deadline=time.monotonic() - 1)  # else it would be found damaged


async def test_a_picture_in_a_callers_memory_is_read_there_and_a_smaller_memory_is_his_loss(box: Box) -> None:
    fd = os.memfd_create("caller")
    os.write(fd, b"xx" + LARGE)
    there = Tensor("image", "BYTES", (1,), b"", Place(fd, 2, len(LARGE)))
    assert len(await box.engine.infer([there])) == len(await box.engine.infer([picture(LARGE)]))
    os.ftruncate(fd, 100)
    with pytest.raises(BadInput, match="made smaller"):
        await box.engine.infer([there])
    os.close(fd)
    await box.has_all_back()


async def test_the_decoder_has_given_up_its_rights_and_the_model_has_no_decoder(box: Box) -> None:
    assert {word.profile: word.missing for word in box.said} == {"engine": (), "pictures": ()}
    assert "Seccomp:\t2" in process(box.decoder, "status")
    assert "cv2" in process(box.decoder, "maps")
    assert "cv2" not in process(box.engine.pid, "maps")


async def test_a_decoder_has_nothing_open_but_its_channel_when_a_picture_is_done(box: Box) -> None:
    await box.engine.infer([picture(LARGE)])
    assert descriptors(box.decoder) == 4  # and the three that every process has


async def test_where_pictures_are_awaited_their_decoder_is_there_before_the_first() -> None:
    engine = OnnxEngine("test", awaits_pictures=True)
    await engine.start(detector().spec)
    assert engine._fitting.pid
    await engine.close()


async def test_a_decoder_that_was_taken_over_fills_no_table_of_descriptors(box: Box) -> None:
    sent = os.memfd_create("sent")
    box.engine._fitting._decoder._answered(Failed(0, Reason.INPUT, "x"), [sent])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(sent)


async def test_the_decoder_ends_with_its_engine(box: Box) -> None:
    pid = box.decoder
    await box.engine.close()
    assert not runs(pid)


@pytest.mark.parametrize(
    ("code", "pictures", "kind"),
    [
        (-signal.SIGSEGV, 1, BadInput),
        (-signal.SIGSEGV, 2, Retryable),  # nobody knows which
        (-signal.SIGKILL, 1, Retryable),  # as of a box short of memory
        (1, 1, Retryable),
    ],
)
def test_a_picture_is_blamed_only_where_it_did_it(code: int, pictures: int, kind: type[LongshoreError]) -> None:
    assert type(blamed(code, pictures)) is kind


async def test_a_decoder_that_leaks_blames_no_picture_and_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.inference.decoder.MODULE", "tests.sim.leaking_decoder")
    box = Box()
    await box.start()
    first = box.decoder
    try:
        with pytest.raises(Retryable, match="ended with code 1"):
            await _until_it_fails(box)
        await box.answers()
        assert box.decoder != first
    finally:
        await box.engine.close()


async def _until_it_fails(box: Box) -> None:
    while True:
        await box.engine.infer([picture()])
