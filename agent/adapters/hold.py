"""One agent per state directory: a lock that the kernel frees however its holder ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from protos.errors import Fatal


@contextlib.contextmanager
def hold(state_dir: Path) -> Iterator[None]:
    """Hold `state_dir` for the length of the block.

    Raises:
        Fatal: another agent holds it, or it cannot be written.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Fatal(f"cannot write to {state_dir} ({error.strerror}); choose another with --state-dir") from error
    with os.fdopen(handle, "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = lock.read().strip() or "unknown"
            raise Fatal(
                f"another agent (pid {holder}) runs on {state_dir}; end it, or use another --state-dir"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def holder(state_dir: Path) -> str:
    """The process id of the agent that holds `state_dir`, "" when none does."""
    try:
        with (state_dir / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return (state_dir / "lock").read_text().strip() or "unknown"
    except OSError:
        return ""  # no agent was ever started here
    return ""
