"""Whole pictures from pieces: never torn, never lost, and early once the stream has shown its habits."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.access_units import START_CODE, TRUSTED, AccessUnits, Unit

MTU = 100
SLICE, KEY, SETTINGS = 0x41, 0x65, 0x67
Pieces = list[bytes]


def cut(header: int, size: int) -> Pieces:
    """One unit as a camera sends it: whole if it is short, else in pieces of which only the last is shorter."""
    content = bytes([header]) + b"x" * (size - 1)
    first, rest = START_CODE + content[:MTU], content[MTU:]
    return [first, *(rest[at : at + MTU - 1] for at in range(0, len(rest), MTU - 1))]


def picture(*sizes: int, key: bool = False) -> Pieces:
    """Slices of these sizes, after the settings where it is a key picture."""
    pieces = cut(SETTINGS, 20) if key else []
    for size in sizes:
        pieces += cut(KEY if key else SLICE, size)
    return pieces


def play(pictures: list[Pieces], codec: str = "h264") -> list[tuple[Unit, float]]:
    """Pictures one second apart, pieces a millisecond; each unit with the time it came out."""
    units, out = AccessUnits(codec), []
    for index, pieces in enumerate(pictures):
        for number, piece in enumerate(pieces):
            now = index + number / 1000
            out += [(unit, now) for unit in units.push(piece, index * 9000, now)]
    return out


def test_pictures_come_whole_and_in_order_whatever_they_are_cut_into() -> None:
    pictures = [picture(650, key=True), picture(30), picture(240), picture(101), picture(100), picture(99)]
    out = [unit for unit, _ in play([*pictures, picture(5)])]
    assert [unit.content for unit in out] == [b"".join(pieces) for pieces in pictures]
    assert [unit.stamp for unit in out] == [index * 9000 for index in range(len(pictures))]


def test_the_arrival_is_that_of_the_last_piece() -> None:
    pictures = [picture(650, key=True), picture(30)]
    (first, _), *_ = play(pictures)
    assert first.arrival == (len(pictures[0]) - 1) / 1000


def test_a_camera_of_steady_habits_is_not_waited_for_any_more() -> None:
    pictures = [picture(650, key=True), *([picture(30 + index % 40) for index in range(2 * TRUSTED)])]
    out = play(pictures)
    delays = [came - unit.arrival for unit, came in out]
    assert min(delays[: TRUSTED // 2]) > 0.9
    assert max(delays[TRUSTED + 5 :]) == 0.0
    assert len(out) == len(pictures)


def test_several_slices_are_counted() -> None:
    pictures = [picture(650, 300, key=True), *([picture(50 + index % 30, 40) for index in range(2 * TRUSTED)])]
    out = play(pictures)
    assert [unit.content for unit, _ in out] == [b"".join(pieces) for pieces in pictures[: len(out)]]
    assert out[-1][1] == out[-1][0].arrival


def test_one_error_sends_a_camera_back_to_waiting_for_good() -> None:
    calm = [picture(650, key=True), *([picture(30 + index % 40) for index in range(2 * TRUSTED)])]
    changed = [picture(40, 41)] * (3 * TRUSTED)
    out = play([*calm, *changed])
    wrong = [unit for unit, _ in out if unit.content not in map(b"".join, [*calm, *changed])]
    assert len(wrong) <= 2  # the picture that was torn
    assert out[-1][1] - out[-1][0].arrival > 0.9


def test_what_follows_the_last_slice_is_noticed_while_learning() -> None:
    trailing = [[*picture(30 + index % 40), START_CODE + b"\x0cff"] for index in range(3 * TRUSTED)]
    out = play([picture(650, key=True), *trailing])
    assert all(unit.content == b"".join(pieces) for (unit, _), pieces in zip(out[1:], trailing, strict=False))


def test_a_codec_without_known_slices_is_always_waited_for() -> None:
    out = play([[b"a" * 40, b"b" * 20]] * (3 * TRUSTED), codec="mpeg4")
    assert all(unit.content == b"a" * 40 + b"b" * 20 for unit, _ in out)


@given(st.lists(st.lists(st.integers(2, 400), min_size=1, max_size=3), min_size=2, max_size=120))
def test_no_byte_is_lost_or_doubled_and_time_never_goes_back(sizes: list[list[int]]) -> None:
    pictures = [picture(*each, key=index % 10 == 0) for index, each in enumerate(sizes)]
    out = [unit for unit, _ in play([*pictures, picture(5)])]
    together = b"".join(unit.content for unit in out)
    everything = b"".join(b"".join(pieces) for pieces in pictures)
    assert together.startswith(everything)
    assert all(before.arrival <= after.arrival for before, after in pairwise(out))
