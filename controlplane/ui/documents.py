"""Reading documents of the fleet. Pure."""

from __future__ import annotations

from controlplane.ui.page import Document


def name_of(document: Document) -> str:
    return str(document["metadata"]["name"])


def labels_of(document: Document) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(document["metadata"]["labels"].items()))


def condition(document: Document, kind: str) -> Document:
    unknown = {"type": kind, "status": "Unknown", "reason": "Unknown", "message": ""}
    return next((each for each in document["status"]["conditions"] if each["type"] == kind), unknown)
