"""Why signed metadata lets nothing be installed: it passes, or the release is at fault. Pure."""

from __future__ import annotations

from protos.errors import Rejected, Retryable


class NotYet(Retryable):
    """Nobody has signed, or assigned, this release to this box; it goes on by itself once somebody does."""


class Stale(Retryable):
    """Signed metadata has expired, or this box's clock is wrong; what runs goes on."""


class ClockBehind(Stale):
    """This box's clock is behind a time that was signed."""


class Untrusted(Retryable):
    """What came is not what keys that this box trusts have signed, or older than what it has seen.

    Nothing is wrong with the release: whoever stands in between may go away.
    """


class Absent(Retryable):
    """There is no such file of metadata."""


class NotApproved(Rejected):
    """What was signed excludes this release here. `rule`: a stable name, which begins the sentence."""

    def __init__(self, rule: str, sentence: str) -> None:
        super().__init__(f"{rule}: {sentence}")
        self.rule = rule
