"""What is written down of a request, and what is not. Pure.

Written down is every change over the REST API that was taken: who, as what, by which token or browser, which verb on
which object. Not written down: reading, what was refused, uploads of bytes (the release that names them is), looking at
pictures, previews, and what a box or the control plane does by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

API = "/api/v1/"
MOST_TEXT = 200
KEEP_MS = 400 * 86_400_000  # a year, and the month in which somebody asks
VERBS = {"POST": "create", "PUT": "apply", "PATCH": "apply", "DELETE": "delete"}
_NOT_CHANGES = ("uploads",)
_NOT_DONE = ("preview",)  # last words that only look
_CHANGED = {"created": "create", "configured": "change"}


@dataclass(frozen=True)
class Entry:
    at_ms: int
    who: str
    via: str
    role: str
    verb: str
    object: str


def described(method: str, path: str, change: str, made: str = "") -> tuple[str, str] | None:
    """Verb and object of a request that was taken, or None when it changed nothing.

    `change`: what the answer's header says of a PUT. `made`: the address of what a POST made, where the answer tells
    it. The last of three words below an object is what was done to it: POST /api/v1/runs/r1/cancel is
    `cancel run/r1`, in the plural as addresses have it: `cancel runs/r1`.
    """
    verb = VERBS.get(method)
    if verb is None or not path.startswith(API) or change == "unchanged":
        return None
    parts = (made if made.startswith(f"{path}/") else path).removeprefix(API).split("/")
    if parts[0] in _NOT_CHANGES or parts[-1] in _NOT_DONE:
        return None
    if method == "POST" and len(parts) == 3:
        verb, parts = parts[2], parts[:2]
    return _CHANGED.get(change, verb), "/".join(parts)[:MOST_TEXT]
