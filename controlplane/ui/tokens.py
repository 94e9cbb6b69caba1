"""What the pages of people and tokens show. Pure. Secrets are not among it: they are shown once, by what made them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from controlplane.ui.documents import name_of, to_write
from controlplane.ui.page import Document

Facts = dict[str, Any]
_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = re.compile(r"\((?:.*?)(Windows|Android|iPhone|iPad|Mac OS X|CrOS|Linux)")


def join_tokens(answers: Iterable[Document], now: str) -> list[Facts]:
    """Open ones first. `now` and times are RFC 3339 in UTC, which compare as text."""
    rows = [_join_token(each, now) for each in answers]
    return sorted(rows, key=lambda row: (row["state"] != "open", row["expires"]))


def _join_token(token: Document, now: str) -> Facts:
    state = "used" if token["used"] else "expired" if token["expires"] <= now else "open"
    return {
        "id": token["id"],
        "node": token["nodeId"] or "",
        "role": token["role"],
        "labels": tuple(sorted(token["labels"].items())),
        "state": state,
        "is": {"open": "busy", "used": "ok"}.get(state, "expired"),
        "used_by": token["usedBy"] or "",
        "used": token["used"] or "",
        "expires": token["expires"],
    }


def api_tokens(answers: Iterable[Document]) -> list[Facts]:
    return [
        {
            "id": each["id"],
            "name": each["name"],
            "whose": each["person"] or "a service",
            "role": each["role"] or "as the person",
            "created": each["created"],
            "expires": each["expires"] or "",
            "used": each["lastUsed"] or "",
        }
        for each in answers
    ]


def person(item: Document) -> Facts:
    return {
        "name": name_of(item),
        "role": str(item["spec"]["role"]),
        "seen": item["status"]["lastSeen"] or "",
        "api_tokens": item["status"]["apiTokens"],
        "first": name_of(item) == "admin",
        "base": to_write(item),
    }


def session(answer: Document) -> Facts:
    """A browser as people call it: what it calls itself is long."""
    said = answer["browser"]
    browser = next((word for mark, word in _BROWSERS if mark in said), "a browser")
    system = _SYSTEMS.search(said)
    place = f" on {system[1].replace('Mac OS X', 'macOS').replace('CrOS', 'ChromeOS')}" if system else ""
    return {"id": answer["id"], "browser": f"{browser}{place}", "used": answer["lastUsed"] or answer["created"]}
