"""Messages between the agent and a worker: many small ones in one packet, none lost, none out of order."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workers import channel
from agent.workers.channel import HOLD_SECONDS, MAX_MESSAGE, MAX_PACKET, WorkerChannel
from tests.unit.workers.messages import Answer, Ask


@given(st.lists(st.integers(1, MAX_MESSAGE), max_size=30))
def test_what_fits_a_packet_is_as_much_as_goes_in_and_one_always_does(sizes: list[int]) -> None:
    contents = [bytes(size) for size in sizes]
    count = channel.fitting(contents)
    assert (count > 0) == bool(sizes)
    assert len(channel.packet(contents[:count])) <= MAX_PACKET or not sizes
    if count < len(sizes):
        assert len(channel.packet(contents[: count + 1])) > MAX_PACKET


def test_a_message_that_belongs_in_shared_memory_is_not_taken() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        channel.encode(Answer(1, 2, "x" * MAX_PACKET))


def test_messages_of_one_packet_are_received_one_by_one_and_descriptors_with_theirs() -> None:
    ours, theirs = channel.pair()
    worker = WorkerChannel(theirs, Ask)
    channel.send(ours, channel.packet([channel.encode(Ask(number)) for number in range(3)]))
    channel.send(ours, channel.packet([channel.encode(Ask(3))]), [0])
    received = [worker.receive() for _ in range(4)]
    assert [each[0].number for each in received if each] == [0, 1, 2, 3]
    assert [len(each[1]) for each in received if each] == [0, 0, 0, 1]
    assert worker.receive(0.0) is None
    os.close(received[3][1][0]) if received[3] else None
    ours.close()
    with pytest.raises(EOFError):
        worker.receive()
    theirs.close()


def test_answers_to_one_packet_go_back_in_one_and_do_not_wait_for_the_next() -> None:
    ours, theirs = channel.pair()
    worker = WorkerChannel(theirs, Ask)
    channel.send(ours, channel.packet([channel.encode(Ask(number)) for number in range(20)]))
    for _ in range(20):
        worker.receive()
        worker.answer(Answer(1, 1, "y" * 20_000))
    packets, answers = 0, 0
    ours.setblocking(False)
    while answers < 20:
        content, _ = channel.receive(ours)
        packets, answers = packets + 1, answers + int.from_bytes(content[1:5], "big")
    assert 2 <= packets < 20
    for sock in (ours, theirs):
        sock.close()


def test_an_answer_waits_for_others_a_moment_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = channel.pair()
    now = [0.0]
    monkeypatch.setattr("agent.workers.channel.time.monotonic", lambda: now[0])
    worker = WorkerChannel(theirs, Ask)
    channel.send(ours, channel.packet([channel.encode(Ask(number)) for number in range(3)]))
    ours.setblocking(False)
    worker.receive()
    worker.answer(Answer(1, 1, ""))
    with pytest.raises(BlockingIOError):
        channel.receive(ours)
    now[0] = 1.1 * HOLD_SECONDS
    worker.receive()
    worker.answer(Answer(2, 1, ""))
    assert int.from_bytes(channel.receive(ours)[0][1:5], "big") == 2
    for sock in (ours, theirs):
        sock.close()


def test_threads_that_send_beside_it_lose_nothing() -> None:
    ours, theirs = channel.pair()
    worker = WorkerChannel(theirs, Ask)

    def say() -> None:
        for _ in range(25):
            worker.send(Answer(1, 1, ""))

    threads = [threading.Thread(target=say) for _ in range(4)]
    for thread in threads:
        thread.start()
    found = sum(int.from_bytes(channel.receive(ours)[0][1:5], "big") for _ in range(100))
    for thread in threads:
        thread.join()
    assert found == 100
    for sock in (ours, theirs):
        sock.close()
