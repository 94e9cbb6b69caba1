"""Exit codes, and the errors only the CLI tells apart. Scripts may rely on them; docs/cli.md lists them."""

from __future__ import annotations

from enum import IntEnum

from protos.errors import LongshoreError, Rejected, Retryable


class Exit(IntEnum):
    OK = 0
    REJECTED = 1  # the control plane or the CLI refused the input; the same again is refused again
    USAGE = 2  # the command line itself is wrong
    RETRY = 3  # nobody answered, or "try again later"
    NOT_FOUND = 4
    INTERRUPTED = 130  # Ctrl-C, as shells count it


class NotFound(Rejected):
    """There is no such object."""


class Conflict(Rejected):
    """It stands otherwise than the request took for granted; look again before asking again."""


def code_of(error: LongshoreError) -> Exit:
    if isinstance(error, NotFound):
        return Exit.NOT_FOUND
    return Exit.RETRY if isinstance(error, Retryable) else Exit.REJECTED
