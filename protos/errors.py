"""Errors both planes name alike, by what the caller should do.

LongshoreError
├── Retryable        try again later; nothing is wrong with the request
├── Rejected         never try this again unchanged: the input is wrong; the sentence says how to mend it
└── Fatal            this process cannot go on; the sentence says what an operator must change

Adapters translate vendor errors into these once. No framework or status code appears in them. The message is one
sentence a user can act on, free of secrets.
"""

from __future__ import annotations


class LongshoreError(Exception):
    """Base of every error that is shown to a user as one sentence."""


class Retryable(LongshoreError):
    """Try again later."""

    def __init__(self, message: str, after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


class Rejected(LongshoreError):
    """Never again unchanged: the input is at fault."""


class Fatal(LongshoreError):
    """This process cannot go on."""


class InvalidName(Rejected):
    """A name or digest breaks its rule."""


class InvalidManifest(Rejected):
    """Release metadata that is malformed or breaks a rule."""


class InvalidToken(Rejected):
    """A join token that is malformed, spent, expired or of another control plane."""
