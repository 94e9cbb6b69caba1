"""What serving can answer besides a result, by consequence. Codes of a transport live with that transport.

LongshoreError
├── Retryable   TurnedAway (agent.errors), Overloaded, Expired (agent.inference.errors), NotReady
└── Rejected    BadInput, NotANumber (agent.inference.errors), UnknownModel (RefusedRelease), UnknownRegion, BadRequest,
                TooLarge, Conflict, Denied, Forbidden
"""

from __future__ import annotations

from agent.errors import TurnedAway
from agent.inference.errors import BadInput, Expired, NotANumber, Overloaded
from protos.errors import Rejected, Retryable

__all__ = [
    "BadInput",
    "BadRequest",
    "Conflict",
    "Denied",
    "Expired",
    "Forbidden",
    "NotANumber",
    "NotReady",
    "Overloaded",
    "RefusedRelease",
    "TooLarge",
    "TurnedAway",
    "UnknownModel",
    "UnknownRegion",
]


class UnknownModel(Rejected):
    """This node serves no such model or version."""


class RefusedRelease(UnknownModel):
    """It is wanted here and this node has refused it for good: waiting brings nothing, another version does."""


class UnknownRegion(Rejected):
    """No shared memory of that name was registered."""


class NotReady(Retryable):
    """The model is known and being loaded."""


class BadRequest(Rejected):
    """A request that breaks the protocol."""


class TooLarge(Rejected):
    """A request beyond what is taken."""


class Denied(Rejected):
    """No token, or a wrong one."""


class Forbidden(Rejected):
    """Who the caller is, is known, and it is not for him."""


class Conflict(Rejected):
    """It cannot be had beside what is so already; the sentence says what to change."""
