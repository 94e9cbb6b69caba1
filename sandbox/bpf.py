"""A profile's rules as a seccomp program: classic BPF, one block per call, each ending in a verdict. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from sandbox.profiles import KILL, Profile, Rule, Test
from sandbox.syscalls import Machine, number

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, k

LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data; both machines are little-endian


def program(profile: Profile, machine: Machine) -> list[Instruction]:
    """A call made in another machine's convention ends the process: its numbers mean other calls."""
    return [
        (LOAD, 0, 0, _MACHINE),
        (EQUAL, 1, 0, machine.audit),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, _NUMBER),
        *_domestic(machine),
        *(each for rule in profile.rules for each in _block(rule, machine)),
        (RETURN, 0, 0, profile.otherwise),
    ]


def packed(instructions: Iterable[Instruction]) -> bytes:
    """As the kernel wants them."""
    return b"".join(struct.pack("=HBBI", *each) for each in instructions)


def _domestic(machine: Machine) -> Iterator[Instruction]:
    if machine.foreign is not None:
        yield (AT_LEAST, 0, 1, machine.foreign)
        yield (RETURN, 0, 0, KILL)


def _block(rule: Rule, machine: Machine) -> list[Instruction]:
    """Skipped as a whole for every other call, so the number is still loaded behind it."""
    call = number(rule.call, machine)
    if call is None:
        return []
    body = [each for test in rule.tests for each in _tested(test, rule.otherwise)]
    body.append((RETURN, 0, 0, rule.verdict))
    return [(EQUAL, 0, len(body), call), *body]


def _tested(test: Test, otherwise: int) -> Iterator[Instruction]:
    yield (LOAD, 0, 0, _ARGUMENTS + 8 * test.argument + test.half.value)
    if test.mask != 0xFFFFFFFF:
        yield (AND, 0, 0, test.mask)
    for left, value in zip(reversed(range(len(test.values))), test.values, strict=True):
        yield (EQUAL, left + 1, 0, value)
    yield (RETURN, 0, 0, otherwise)
