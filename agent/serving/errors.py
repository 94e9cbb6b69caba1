"""What serving can answer besides a result, by consequence. Codes of a transport live with that transport.

LongshoreError
├── Retryable   Overloaded, Expired (agent.inference.errors), NotReady
└── Rejected    BadInput (agent.inference.errors), UnknownModel (RefusedRelease), BadRequest, TooLarge, Denied
"""

from __future__ import annotations

from agent.inference.errors import BadInput, Expired, Overloaded
from protos.errors import Rejected, Retryable

__all__ = [
    "BadInput",
    "BadRequest",
    "Denied",
    "Expired",
    "NotReady",
    "Overloaded",
    "RefusedRelease",
    "TooLarge",
    "UnknownModel",
]


class UnknownModel(Rejected):
    """This node serves no such model or version."""


class RefusedRelease(UnknownModel):
    """It is wanted here and this node has refused it for good: waiting brings nothing, another version does."""


class NotReady(Retryable):
    """The model is known and being loaded."""


class BadRequest(Rejected):
    """A request that breaks the protocol."""


class TooLarge(Rejected):
    """A request beyond what is taken."""


class Denied(Rejected):
    """No token, or a wrong one."""
