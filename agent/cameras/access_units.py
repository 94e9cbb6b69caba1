"""Pieces of coded video as a network camera sends them → whole pictures, as soon as the last piece is there. Pure.

FFmpeg's parser knows that a picture is complete only when the next begins: a whole frame time too late, 100 ms at ten
frames a second. Pieces of one picture share a time stamp, so waiting for another stamp is always right. Better is to
know the end: the expected number of slices has come, and the last piece is shorter than pieces that are continued.
Whether that holds for a camera is learnt from its own stream, and one error sends it back to waiting for good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

START_CODE = b"\0\0\0\1"
TRUSTED = 20  # pictures in a row whose end was foreseen, before it is acted upon


@dataclass(frozen=True)
class Unit:
    """One coded picture; `arrival` is when its last piece came."""

    content: bytes
    stamp: int
    arrival: float


def _is_slice_h264(header: int) -> bool:
    return header & 0x1F in (1, 5)


def _is_slice_hevc(header: int) -> bool:
    return (header >> 1) & 0x3F < 32


SLICES: dict[str, Callable[[int], bool]] = {"h264": _is_slice_h264, "hevc": _is_slice_hevc}


@dataclass
class AccessUnits:
    """Of one stream. `codec` without slices we know is always waited for."""

    codec: str
    _pieces: list[bytes] = field(default_factory=list)
    _stamp: int | None = None
    _arrival: float = 0.0
    _slices: int = 0  # in the pieces
    _expected: int = 0  # slices of the last whole picture
    _foreseen: int | None = None  # after how many pieces its end was foreseen
    _trust: float = 0  # pictures in a row whose end was foreseen rightly
    _longest: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})  # first pieces, continuations

    def push(self, piece: bytes, stamp: int, arrival: float) -> list[Unit]:
        """The pictures that are complete now: none, one, or two after a camera's habit changed."""
        done = []
        if stamp != self._stamp:
            done += self._end()
            self._stamp = stamp
        elif not self._pieces:
            self._trust = float("-inf")  # more of a picture that was already given out
        self._add(piece, arrival)
        if self._foreseen is None and self._looks_complete(piece):
            self._foreseen = len(self._pieces)
            if self._trust >= TRUSTED:
                done += self._give()
        return done

    def _add(self, piece: bytes, arrival: float) -> None:
        self._pieces.append(piece)
        self._arrival = arrival
        is_slice = SLICES.get(self.codec)
        if is_slice is not None and piece.startswith(START_CODE):
            headers = (unit[0] for unit in piece.split(START_CODE) if unit)
            self._slices += sum(map(is_slice, headers))
        first = piece.startswith(START_CODE)
        self._longest[first] = max(self._longest[first], len(piece))

    def _looks_complete(self, piece: bytes) -> bool:
        enough = self._slices == self._expected > 0
        return enough and len(piece) < self._longest[piece.startswith(START_CODE)]

    def _end(self) -> list[Unit]:
        """Another stamp has come: what is here is a whole picture, and shows whether its end was foreseen."""
        if not self._pieces:
            return []
        if self._foreseen is not None:
            self._trust = self._trust + 1 if self._foreseen == len(self._pieces) else min(0.0, self._trust)
        return self._give()

    def _give(self) -> list[Unit]:
        assert self._stamp is not None
        unit = Unit(b"".join(self._pieces), self._stamp, self._arrival)
        if self._slices:
            self._expected = self._slices
        self._pieces, self._slices, self._foreseen = [], 0, None
        return [unit]
