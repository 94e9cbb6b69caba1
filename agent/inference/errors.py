"""What inference can answer besides a result, by consequence."""

from __future__ import annotations

from protos.errors import Rejected, Retryable


class Overloaded(Retryable):
    """Too much waits already; nothing of this request was kept."""


class Expired(Retryable):
    """The request's time had passed before its turn came."""


class BadInput(Rejected):
    """A tensor or picture that this model cannot take; the sentence names it."""


class NotANumber(Rejected):
    """An answer that was to become boxes holds NaN, or a score beyond all numbers: nobody knows what was seen."""


class BadModel(Rejected):
    """A model that does not load, does not run, or breaks the graph contract of its task."""
