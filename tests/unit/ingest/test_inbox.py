"""Who comes next of the boxes that wait for the database."""

from __future__ import annotations

from collections import Counter

from controlplane.adapters import inbox
from controlplane.adapters.inbox import OVERHEAD, Inbox
from controlplane.ports import Message
from protos.ids import NodeId
from protos.topics import Channel

BOXES = [NodeId(f"quay-{number}") for number in range(10)]


def presence(node: NodeId) -> Message:
    return Message(node, Channel.PRESENCE, bytes(2), 0)


def message(node: NodeId, *, historical: bool = False, size: int = 100) -> Message:
    return Message(node, Channel.TELEMETRY, bytes(size), 0, historical=historical)


def test_boxes_take_turns_however_much_one_of_them_sends() -> None:
    room = Inbox()
    for _ in range(500):
        room.put(message(BOXES[0]))
    for node in BOXES[1:]:
        for _ in range(20):
            room.put(message(node))
    assert Counter(each.node for each in room.take(200, 0)) == dict.fromkeys(BOXES, 20)
    assert {each.node for each in room.take(1_000, 0)} == {BOXES[0]}


def test_messages_of_a_box_keep_their_order() -> None:
    room = Inbox()
    sent = [message(BOXES[number % 3], size=number) for number in range(30)]
    for each in sent:
        room.put(each)
    found = room.take(100, 0)
    for node in BOXES[:3]:
        assert [each for each in found if each.node == node] == [each for each in sent if each.node == node]


def test_what_is_new_goes_first_but_a_backlog_gets_through() -> None:
    room = Inbox()
    for node in BOXES:
        for _ in range(40):
            room.put(message(node, historical=True))
    for _ in range(60):
        room.put(message(BOXES[0]))
    for _ in range(2):
        found = [each.historical for each in room.take(40, 0)]
        assert (found.count(False), found.count(True)) == (30, 10)
    assert all(each.historical for each in room.take(1_000, 0))


def test_large_messages_of_a_backlog_take_no_more_than_their_share_of_bytes_from_what_is_new() -> None:
    room = Inbox()
    for node in BOXES:
        room.put(message(node, historical=True, size=10 * (100 + OVERHEAD) - OVERHEAD))
        for _ in range(12):
            room.put(message(node))
    found = [each.historical for each in room.take(62, 0)]
    assert (found.count(False), found.count(True)) == (60, 2)


def test_a_backlog_leaves_half_of_the_room_to_what_is_new() -> None:
    room = Inbox(10 * (100 + OVERHEAD))
    for _ in range(10):
        room.put(message(BOXES[0], historical=True))
    assert (room.waiting.messages, room.overflow) == (5, 5)
    for _ in range(10):
        room.put(message(BOXES[1]))
    assert (room.waiting.messages, room.overflow) == (10, 10)
    assert sum(each.historical for each in room.take(100, 0)) == 5


def test_so_many_bytes_are_taken_at_once_and_no_more() -> None:
    room = Inbox()
    for _ in range(10):
        room.put(message(BOXES[0], size=inbox.TAKEN_BYTES // 4))
    assert [len(room.take(100, 0)) for _ in range(4)] == [4, 4, 2, 0]
    assert room.waiting.bytes == room.waiting.messages == 0


def test_a_sign_of_life_finds_room_although_telemetry_fills_it() -> None:
    """A box keeps what was dropped and sends it again; its next beat may come after it was shown as offline."""
    room = Inbox(2 * (100 + OVERHEAD))
    for _ in range(3):
        room.put(message(BOXES[0]))
    room.put(presence(BOXES[1]))
    assert (room.waiting.messages, room.overflow) == (3, 1)
    for _ in range(3_000):
        room.put(presence(BOXES[0]))
    assert room.waiting.messages * OVERHEAD < inbox.PRESENCE_BYTES + 2 * (100 + OVERHEAD), "of these, too, so many"
