"""One `up` per state folder: a lock that the kernel frees however its holder ends, and that says who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from protos.errors import Fatal


@contextlib.contextmanager
def held(state: Path, page: str) -> Iterator[None]:
    """Hold `state` for the length of the block.

    Raises:
        Fatal: somebody else holds it (who, and where it answers), or the folder cannot be written.
    """
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(state / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Fatal(f"cannot write to {state} ({error.strerror}); choose another folder with --state") from error
    with os.fdopen(handle, "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Fatal(_holder(state, lock.read())) from None
        lock.seek(0)
        lock.truncate()
        lock.write(json.dumps({"pid": os.getpid(), "page": page}))
        lock.flush()
        yield


def _holder(state: Path, text: str) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        told = json.loads(text)
        return (
            f"another 'longshore up' (pid {told['pid']}) holds {state} and answers at {told['page']};"
            " end it with Ctrl-C, or choose another folder with --state"
        )
    return f"another 'longshore up' holds {state}; end it with Ctrl-C, or choose another folder with --state"
