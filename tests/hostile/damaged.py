"""Honest files that were cut or changed on the way, and bytes that never were a model; from a seed, always the same.

A changed byte may lie where nothing depends on it, or change a weight: such a file is a sound model, only another one,
and no rule can know. So a flipped file may pass the gate, and must then do what every file that passed does: load, run
within the limits of a trial, and read nothing. What must never happen is anything else.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial

from controlplane.gate.rules import Rule
from tests.hostile.building import Hostile, content, field, honest, hostile
from tests.sim.models import detector

FLIPS = 40  # files, of each of 1, 8 and 64 changed bits
_ALL = tuple(Rule)


def family(seed: int = 0) -> Iterator[Hostile]:
    whole = detector().spec.model
    for share in (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99):
        cut = int(len(whole) * share)
        yield hostile("cut", f"{share:.0%}", partial(_cut, whole, cut), Rule.NOT_ONNX, Rule.UNSOUND, Rule.WEIGHTS)
    yield hostile("cut", "the last byte", lambda: whole[:-1], Rule.NOT_ONNX)
    for name, build in _GARBAGE.items():
        yield hostile("garbage", name, build, Rule.NOT_ONNX, Rule.OPSET, Rule.BOUNDS)
    for bits in (1, 8, 64):
        for number in range(FLIPS):
            yield hostile("flipped", f"{bits} bits, {number}", _flipped(whole, bits, seed * 1000 + number), *_ALL)


def _cut(whole: bytes, length: int) -> bytes:
    return whole[:length]


def _flipped(whole: bytes, bits: int, seed: int) -> Callable[[], bytes]:
    def build() -> bytes:
        changed, dice = bytearray(whole), random.Random(f"{bits} {seed}")
        for _ in range(bits):
            changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
        return bytes(changed)

    return build


_GARBAGE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "zeros": lambda: bytes(100_000),
    "noise": lambda: random.Random(1).randbytes(100_000),
    "text": lambda: b"import os; os.system('true')\n" * 100,
    "a pickle": lambda: b"\x80\x04cposix\nsystem\n\x94\x8c\x04true\x94\x85\x94R\x94.",
    "a zip": lambda: b"PK\x03\x04" + bytes(1000),
    "a program": lambda: b"\x7fELF\x02\x01\x01" + bytes(1000),
    "JSON": lambda: b'{"graph": {}}',
    "ORT format": lambda: b"\x20\x00\x00\x00ORTM" + bytes(1000),
    "ORT format in a model": lambda: b"\x08\x08" + field(2, b"ORTM") + content(honest()),
    "a length beyond the end": lambda: b"\x3a\xff\xff\xff\xff\x0f" + bytes(10),
    "a length of 2^63": lambda: b"\x3a" + b"\xff" * 9 + b"\x01",
    "an endless varint": lambda: b"\x08" + b"\xff" * 1000,
    "an unknown field of 20 MB": lambda: field(1000, bytes(20 << 20)),
    "groups in groups": lambda: b"\x0b" * 100_000,
    "groups that never began": lambda: b"\x0c" * 100,
}
