"""Who may do what, in one table. Pure.

viewer    reads everything but API tokens, and looks at pictures
operator  also changes the fleet: objects, releases, runs, join tokens, switches
admin     also people, API tokens, settings, the online keys, and exports, which hold credentials of cameras

Each role may do what those before it may. What is not listed is decided by the verb: reading is a viewer's, writing an
operator's, so that a route nobody thought of here is never open to those who may only read.
"""

from __future__ import annotations

from enum import StrEnum

from controlplane.errors import Forbidden
from protos.errors import Rejected


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, least: Role) -> bool:
        """Whether it may do what `least` may."""
        return _ORDER.index(self) >= _ORDER.index(least)


FIRST = "admin"  # the person who may read the control plane's state: always there, always admin
_ORDER = tuple(Role)
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_ADMINS = ("/api/v1/apitokens", "/api/v1/exports", "/tokens/api")  # whatever the verb; the latter is their page
_ADMINS_TO_WRITE = ("/api/v1/people", "/api/v1/settings", "/api/v1/metadata/keys")
_ANYBODYS = ("/ui/look", "/api/v1/signincodes")  # to write: pictures for oneself, another browser of one's own


def needed(method: str, path: str) -> Role:
    """The least role for a request."""
    if _below(path, _ADMINS):
        return Role.ADMIN
    if method in _READING or _below(path, _ANYBODYS):
        return Role.VIEWER
    return Role.ADMIN if _below(path, _ADMINS_TO_WRITE) else Role.OPERATOR


def _one(role: Role) -> str:
    return f"a {role}" if role is Role.VIEWER else f"an {role}"


def _below(path: str, places: tuple[str, ...]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


def check(role: Role, method: str, path: str, who: str) -> None:
    """Raises Forbidden, with who could do it."""
    least = needed(method, path)
    if not role.covers(least):
        raise Forbidden(
            f"{who} is {_one(role)} here, and this needs {_one(least)}; an admin can make you one "
            "('longshore get people' shows who is)"
        )


def parsed(role: object) -> Role:
    """Raises Rejected."""
    if not isinstance(role, str) or role not in _ORDER:
        raise Rejected(f"spec.role must be one of {', '.join(_ORDER)}")
    return Role(role)
