"""Profiles as programs, for both machines: what is allowed, what fails, what is deadly."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from sandbox import bpf, profiles
from sandbox.profiles import ABSENT, ALLOW, FAIL, KILL, Profile
from sandbox.syscalls import MACHINES, TABLE, Machine, number
from tests.sim.filters import verdict

PID = 4711
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
ENGINE = profiles.engine(PID, 1)
JIT = profiles.engine_that_compiles(PID, 1)
PICTURES = profiles.pictures(PID, 1)
NETWORK = profiles.network(PID, 1, (554,))
DEVICE = profiles.device(PID, 1, Path("/dev/video0"))
GPU = profiles.engine_on_gpu(PID, (), ())
ALL = (ENGINE, JIT, PICTURES, NETWORK, DEVICE, GPU)
THREAD, FORK = 0x3D0F00, 0x1200011  # flags of clone as glibc asks for a thread and a child


@pytest.fixture(params=sorted(MACHINES))
def machine(request: pytest.FixtureRequest) -> Machine:
    return MACHINES[request.param]


def asked(profile: Profile, machine: Machine, call: str, *arguments: int) -> int:
    known = number(call, machine)
    assert known is not None
    return verdict(bpf.program(profile, machine), machine, known, arguments)


@pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)
def test_every_worker_may_compute_and_speak_but_start_nothing(profile: Profile, machine: Machine) -> None:
    for call in ("futex", "recvmsg", "sendmsg", "sendto", "memfd_create", "munmap", "exit_group", "clock_gettime"):
        assert asked(profile, machine, call) == ALLOW, call
    assert asked(profile, machine, "clone", THREAD) == ALLOW
    assert asked(profile, machine, "clone", FORK) == FAIL
    assert asked(profile, machine, "clone3") == ABSENT
    for call in profiles.DEADLY.split():
        if number(call, machine) is not None:
            assert asked(profile, machine, call) == KILL, call


@pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)
def test_an_exec_is_deadly_and_an_exec_of_nothing_only_fails(profile: Profile, machine: Machine) -> None:
    assert asked(profile, machine, "execve", 0x7FFF0000) == KILL
    assert asked(profile, machine, "execve", 1 << 32) == KILL, "a pointer whose lower half is nothing"
    assert asked(profile, machine, "execve", 0) == FAIL


@pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)
def test_a_worker_ends_itself_and_nobody_else(profile: Profile, machine: Machine) -> None:
    assert asked(profile, machine, "tgkill", PID, PID, 6) == ALLOW
    assert asked(profile, machine, "tgkill", PID + 1, PID + 1, 9) == FAIL
    assert asked(profile, machine, "prctl", 15) == ALLOW
    assert asked(profile, machine, "prctl", 1, 0) == FAIL, "it dies with its parent"
    assert asked(profile, machine, "prlimit64", PID + 1) == FAIL


@pytest.mark.parametrize("profile", [ENGINE, JIT, PICTURES], ids=lambda profile: profile.name)
def test_a_worker_that_is_handed_everything_opens_nothing(profile: Profile, machine: Machine) -> None:
    for call in ("openat", "socket", "connect", "faccessat", "readlinkat"):
        assert asked(profile, machine, call) == FAIL, call


@pytest.mark.parametrize("profile", [ENGINE, PICTURES, NETWORK, DEVICE], ids=lambda profile: profile.name)
def test_memory_becomes_no_code(profile: Profile, machine: Machine) -> None:
    for call in ("mmap", "mprotect"):
        assert asked(profile, machine, call, 0, 4096, 0b011) == ALLOW
        assert asked(profile, machine, call, 0, 4096, 0b101) == FAIL
        assert asked(GPU, machine, call, 0, 4096, 0b101) == ALLOW


def test_what_compiles_changes_its_own_memory_and_maps_no_code(machine: Machine) -> None:
    assert asked(JIT, machine, "mprotect", 0, 4096, 0b111) == ALLOW
    for protection in (0b101, 0b111):
        assert asked(JIT, machine, "mmap", 0, 4096, protection) == FAIL


def test_network_cameras_are_connected_to_over_tcp_alone(machine: Machine) -> None:
    unix, inet, inet6, packet = 1, 2, 10, 17
    for family, kind, expected in (
        (inet, 1, ALLOW),
        (inet6, 1 | 0o2000000, ALLOW),
        (inet, 2, FAIL),
        (unix, 1, FAIL),
        (packet, 3, FAIL),
    ):
        assert asked(NETWORK, machine, "socket", family, kind) == expected, (family, kind)
    assert asked(NETWORK, machine, "connect") == ALLOW
    assert asked(NETWORK, machine, "openat") == FAIL


def test_a_device_is_told_what_v4l2_knows_and_no_terminal_is(machine: Machine) -> None:
    query, push_into_terminal, other = 0x80685600, 0x5412, 0x1_0000_5412
    assert asked(DEVICE, machine, "ioctl", 3, query) == ALLOW
    for command in (push_into_terminal, other):
        assert asked(DEVICE, machine, "ioctl", 3, command) == FAIL
        assert asked(ENGINE, machine, "ioctl", 3, command) == FAIL


def test_a_driver_may_ask_for_what_we_do_not_know_and_not_for_what_we_do(machine: Machine) -> None:
    assert verdict(bpf.program(GPU, machine), machine, 999) == ALLOW
    for call in profiles.REFUSED.split():
        if number(call, machine) is not None:
            assert asked(GPU, machine, call) == FAIL, call


def test_a_call_in_another_machines_convention_is_deadly() -> None:
    intel, arm = MACHINES["x86_64"], MACHINES["aarch64"]
    program = bpf.program(ENGINE, intel)
    assert verdict(program, arm, 0) == KILL
    assert verdict(program, intel, 0x40000000) == KILL, "x32"
    assert verdict(program, intel, 0) == ALLOW


def test_what_no_rule_names_fails_as_if_it_were_not_permitted(machine: Machine) -> None:
    assert verdict(bpf.program(ENGINE, machine), machine, 999) == FAIL
    assert FAIL & 0xFFFF == errno.EPERM


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_numbers_are_those_of_the_kernels_headers(name: str) -> None:
    if not HEADERS[name].exists():
        pytest.skip("the kernel's headers are not installed here; Debian has them in linux-libc-dev")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[name].read_text())
    theirs = {"newfstatat" if call == "fstatat" else call: int(at) for call, at in found}
    ours = {call: columns[MACHINES[name].column] for call, columns in TABLE.items()}
    assert {call: at for call, at in ours.items() if at is not None and theirs.get(call) != at} == {}
    assert {call for call, at in ours.items() if at is None} & theirs.keys() == set()


def test_every_rule_names_a_call_that_one_of_the_machines_has() -> None:
    calls = {rule.call for profile in ALL for rule in profile.rules}
    assert calls <= TABLE.keys()
    assert all(any(column is not None for column in TABLE[call]) for call in calls)
