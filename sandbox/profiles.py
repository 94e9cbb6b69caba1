"""What each kind of worker may still ask of the kernel, as data. Pure.

A call that is in no rule fails with EPERM, which libraries survive; one that is in DEADLY ends the process, since only
hostile code comes there. The reasons are in docs/adr/0017-workers-give-up-their-rights.md.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

ALLOW = 0x7FFF0000
KILL = 0x80000000
FAIL = 0x00050000 | errno.EPERM
ABSENT = 0x00050000 | errno.ENOSYS  # so that a C library falls back to what a filter can look into


class Half(Enum):
    """Of an argument, which has 64 bits: the kernel reads flags, numbers and commands from the lower ones."""

    LOW = 0
    HIGH = 4


@dataclass(frozen=True)
class Test:
    """Holds when the masked half of an argument is one of `values`."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    half: Half = Half.LOW


@dataclass(frozen=True)
class Rule:
    """`verdict` where all tests hold, else `otherwise`."""

    call: str
    verdict: int = ALLOW
    tests: tuple[Test, ...] = ()
    otherwise: int = FAIL


@dataclass(frozen=True)
class Profile:
    """One kind of worker.

    `folders` are read with all below them, `devices` are read, written and controlled; both are paths that need not
    exist. `ports` are those it may connect to, None: it makes no sockets. `growth` is how much address space it may
    take beyond what it has when it enters, in bytes; None: no limit.
    """

    name: str
    rules: tuple[Rule, ...]
    otherwise: int = FAIL  # for calls that are in no rule
    folders: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()
    ports: tuple[int, ...] | None = None
    growth: int | None = None
    files: int = 4096  # open at a time


# The first ones are asked for at every frame.
PLAIN = """
    futex poll ppoll select pselect6 recvmsg sendto sendmsg recvfrom read write readv writev clock_gettime gettimeofday
    madvise mremap munmap brk lseek close fstat newfstatat pread64 pwrite64 memfd_create ftruncate sched_yield getcpu
    nanosleep clock_nanosleep clock_getres epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 pipe2 dup dup2 dup3
    fcntl getsockopt setsockopt shutdown getsockname getpeername set_robust_list rseq membarrier sched_getaffinity
    sched_setaffinity exit exit_group gettid getpid getppid rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack
    restart_syscall getrandom getrusage times sysinfo uname getuid geteuid getgid getegid
"""
DEADLY = """
    execveat ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd bpf mount umount2 pivot_root chroot
    unshare setns keyctl add_key request_key kexec_load kexec_file_load init_module finit_module delete_module
    perf_event_open userfaultfd open_by_handle_at
"""
# By name, where calls are allowed that are in no rule.
REFUSED = """
    socket connect bind listen accept accept4 fork vfork kill tkill rt_sigqueueinfo pidfd_send_signal mknod mknodat
    io_uring_setup
"""

_THREAD = 0x00010000  # CLONE_THREAD
_EXECUTED = 0x4  # PROT_EXEC
_NAMES = (15, 16, 0x53564D41)  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA: of threads and memory, for who debugs
_COMMANDS = (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_INTERNET = (2, 10)  # AF_INET, AF_INET6
_STREAM = (1,)


def plain(names: str) -> tuple[Rule, ...]:
    """Allowed, whatever is asked."""
    return tuple(Rule(name) for name in names.split())


def basis(pid: int) -> tuple[Rule, ...]:
    """What every worker may: compute, take memory, start threads, speak over what is open already."""
    return (
        *plain(PLAIN),
        Rule("clone", tests=(Test(0, (_THREAD,), mask=_THREAD),)),
        Rule("clone3", ABSENT),  # its flags lie in memory, where no filter sees them
        Rule("prlimit64", tests=(Test(0, (0, pid)),)),
        Rule("tgkill", tests=(Test(0, (pid,)),)),  # abort() ends oneself
        Rule("prctl", tests=(Test(0, _NAMES),)),
        # An exec of nothing can only fail. It is answered, so that a worker proves this rule and lives.
        Rule("execve", FAIL, tests=(Test(0, (0,)), Test(0, (0,), half=Half.HIGH)), otherwise=KILL),
        *(Rule(name, KILL) for name in DEADLY.split()),
    )


# Nothing is compiled while it runs, so no memory becomes code any more.
NO_NEW_CODE = (
    Rule("mmap", tests=(Test(2, (0,), mask=_EXECUTED),)),
    Rule("mprotect", tests=(Test(2, (0,), mask=_EXECUTED),)),
)
NEW_CODE = plain("mmap mprotect")
# What is compiled while it runs lies in memory that was its own before: nothing is mapped to be run, no file either.
OWN_CODE = (NO_NEW_CODE[0], *plain("mprotect"))
FEW_COMMANDS = (Rule("ioctl", tests=(Test(1, _COMMANDS),)),)


def engine(pid: int, growth: int) -> Profile:
    """A model on the CPU: no file, no socket, no process."""
    return Profile("engine", (*basis(pid), *NO_NEW_CODE, *FEW_COMMANDS), growth=growth)


def engine_on_gpu(pid: int, folders: tuple[Path, ...], devices: tuple[Path, ...]) -> Profile:
    """As `engine`, with the driver: its devices, its libraries, and code that is compiled while it runs.

    Its next version asks for something new, so what no rule names is allowed here: Landlock holds its files, and
    REFUSED names what a worker has no use for. It reserves more address space than a box has memory, so that has no
    limit.
    """
    refused = tuple(Rule(name, FAIL) for name in REFUSED.split())
    return Profile("gpu", (*basis(pid), *NEW_CODE, *refused), ALLOW, folders, devices)


def engine_that_compiles(pid: int, growth: int) -> Profile:
    """As `engine`, for a runtime that writes code for its graph and this processor: memory may become code."""
    return Profile("jit", (*basis(pid), *OWN_CODE, *FEW_COMMANDS), growth=growth)


def pictures(pid: int, growth: int) -> Profile:
    """Pictures that come as bytes, or are drawn: nothing but what is handed over. Files come as descriptors."""
    return Profile("pictures", (*basis(pid), *NO_NEW_CODE, *FEW_COMMANDS), growth=growth)


def gate(pid: int, growth: int) -> Profile:
    """A stranger's model that is looked at, or tried: nothing but what is handed over."""
    return Profile("gate", (*basis(pid), *NO_NEW_CODE, *FEW_COMMANDS), growth=growth, files=64)


def network(pid: int, growth: int, ports: tuple[int, ...]) -> Profile:
    """Cameras in the network: connections out, to these ports. Names are resolved by the agent."""
    sockets = Rule("socket", tests=(Test(0, _INTERNET), Test(1, _STREAM, mask=0xF)))
    rules = (*basis(pid), *NO_NEW_CODE, *FEW_COMMANDS, sockets, Rule("connect"))
    return Profile("network", rules, ports=ports, growth=growth)


def device(pid: int, growth: int, path: Path) -> Profile:
    """A V4L2 device: it alone is opened, and told what V4L2 knows."""
    asked = Rule("ioctl", tests=(Test(1, (ord("V") << 8,), mask=0xFF00),))
    rules = (*basis(pid), *NO_NEW_CODE, asked, *plain("open openat"))
    return Profile("device", rules, devices=(path,), growth=growth)
