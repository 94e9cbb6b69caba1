"""What the echo worker hears and says."""

from __future__ import annotations

import msgspec


class Ask(msgspec.Struct, tag="ask"):
    number: int


class Answer(msgspec.Struct, tag="answer"):
    number: int
    pid: int
    text: str
