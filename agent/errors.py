"""Errors that only a box has; the tree is protos.errors."""

from __future__ import annotations

from protos.errors import LongshoreError, Rejected, Retryable


class DiskFull(Retryable):
    """The state directory has no room. Nothing was damaged; the same call works once there is space again."""


class TurnedAway(Retryable):
    """A node has more to do than it could answer in time: nothing was run. `expected_wait`: seconds until a start."""

    def __init__(self, message: str, expected_wait: float, after_seconds: float | None = None) -> None:
        super().__init__(message, expected_wait if after_seconds is None else after_seconds)
        self.expected_wait = expected_wait


class Held(Retryable):
    """The rules of a deployment's download allow no fetch now; the sentence completes "it …"."""


class OverQuota(DiskFull):
    """It would take more of the disk than the fleet's settings give to releases."""


class Damaged(Rejected):
    """Bytes on this box, or on their way to it, are not what the manifest names."""

    def __init__(self, message: str, digests: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.digests = digests


class Unfit(Rejected):
    """A release on trial shows that it must not be kept; the sentence begins with the rule.

    `seconds`: what its inference takes here, where that alone is wrong; 0 otherwise.
    """

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


def passing(error: LongshoreError) -> Retryable:
    """`error` as a hindrance that is tried again: a running box goes on when its disk fails, and says why."""
    return error if isinstance(error, Retryable) else Retryable(str(error))
