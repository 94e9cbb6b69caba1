"""A seccomp program run by hand, as the kernel runs it: for machines that the tests do not run on."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from sandbox.bpf import AND, AT_LEAST, EQUAL, LOAD, RETURN, Instruction
from sandbox.syscalls import Machine


def verdict(program: Sequence[Instruction], machine: Machine, number: int, arguments: Sequence[int] = ()) -> int:
    """What the kernel would do with this call. Raises IndexError for a program that runs off its end."""
    six = [each & (2**64 - 1) for each in (*arguments, *[0] * 6)][:6]
    data = struct.pack("=IIQ6Q", number, machine.audit, 0, *six)
    at = accumulator = 0
    while True:
        code, jump_true, jump_false, k = program[at]
        at += 1
        match code:
            case _ if code == LOAD:
                (accumulator,) = struct.unpack_from("=I", data, k)
            case _ if code == AND:
                accumulator &= k
            case _ if code == EQUAL:
                at += jump_true if accumulator == k else jump_false
            case _ if code == AT_LEAST:
                at += jump_true if accumulator >= k else jump_false
            case _ if code == RETURN:
                return k
            case _:
                raise AssertionError(f"instruction {code:#x} is none that we write")
