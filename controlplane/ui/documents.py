"""Reading documents of the fleet. Pure."""

from __future__ import annotations

import yaml

from controlplane.ui.page import Document

_OURS = ("name", "labels", "annotations")  # of metadata: what people write
_STAND = ("uid", "resourceVersion")  # what makes a write of something newer a refusal


def name_of(document: Document) -> str:
    return str(document["metadata"]["name"])


def labels_of(document: Document) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(document["metadata"]["labels"].items()))


def condition(document: Document, kind: str) -> Document:
    unknown = {"type": kind, "status": "Unknown", "reason": "Unknown", "message": ""}
    return next((each for each in document["status"]["conditions"] if each["type"] == kind), unknown)


def to_write(item: Document) -> Document:
    """What changing an object begins with: it says what was read, so that nobody undoes another's change."""
    metadata = item["metadata"]
    kept = {key: metadata[key] for key in _OURS if metadata.get(key)} | {key: metadata[key] for key in _STAND}
    return {"apiVersion": "longshore/v1", "kind": item["kind"], "metadata": kept, "spec": item["spec"]}


def as_text(document: Document) -> str:
    """YAML that `longshore apply -f` takes."""
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100))
