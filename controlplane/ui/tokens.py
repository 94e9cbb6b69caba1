"""What the page of tokens shows. Pure. Secrets are not among it: they are shown once, by the answer that made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Facts = dict[str, Any]
Document = Mapping[str, Any]


def join_tokens(answers: Iterable[Document], now: str) -> list[Facts]:
    """Open ones first. `now` and times are RFC 3339 in UTC, which compare as text."""
    rows = [_join_token(each, now) for each in answers]
    return sorted(rows, key=lambda row: (row["state"] != "open", row["expires"]))


def _join_token(token: Document, now: str) -> Facts:
    state = "used" if token["used"] else "expired" if token["expires"] <= now else "open"
    return {
        "id": token["id"],
        "node": token["nodeId"] or "any name",
        "role": token["role"],
        "labels": tuple(sorted(token["labels"].items())),
        "state": state,
        "used_by": token["usedBy"] or "",
        "expires": token["expires"],
    }


def api_tokens(answers: Iterable[Document]) -> list[Facts]:
    return [
        {
            "id": each["id"],
            "name": each["name"],
            "role": each.get("role", ""),
            "created": each["created"],
            "expires": each["expires"] or "",
            "used": each["lastUsed"] or "",
        }
        for each in answers
    ]
