"""Refusals of the control plane, by what the caller should do; the shared tree is in `protos.errors`.

Rejected
├── NotFound          name something that exists
├── Conflict          it clashes with what is stored; look at that first
├── Unauthenticated   say who you are
├── Forbidden         ask somebody who may
└── TooLarge          send less; the message names the cap

No status code appears here: `web` maps these to HTTP once, the servicer to gRPC once.
"""

from __future__ import annotations

from protos.errors import Rejected


class NotFound(Rejected):
    """No such object."""


class Conflict(Rejected):
    """The request clashes with what is stored."""


class Unauthenticated(Rejected):
    """Nobody known asked."""


class Forbidden(Rejected):
    """Somebody known asked for what they may not have."""


class TooLarge(Rejected):
    """More bytes than are allowed."""
