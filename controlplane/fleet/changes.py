"""What a PUT of an object means, next to what is stored. Pure.

`metadata.labels` and `annotations` that are left out stay as they are; a spec is replaced whole. A `resourceVersion`
that is given must be the stored one, and the `uid` beside it too: who writes back what he read does not undo what
somebody else did meanwhile, not even when the object was deleted and made anew. What else only the server writes
(generation, creationTimestamp, status; uid alone) is ignored, so that an answer may be PUT back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from controlplane.errors import Conflict
from controlplane.fleet import selectors
from controlplane.fleet.objects import Meta
from controlplane.shape import API_VERSION
from protos.errors import Rejected
from protos.ids import name as checked_name

_MAX_ANNOTATION = 4096  # characters of all annotations together: notes, not storage
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed: a note may have lines
_TOP = {"apiVersion", "kind", "metadata", "spec", "status"}
_METADATA = {"name", "labels", "annotations", "uid", "generation", "resourceVersion", "creationTimestamp"}


class Change(StrEnum):
    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Written:
    """The body of a PUT, but for its spec checked. None: left out."""

    name: str
    labels: dict[str, str] | None
    annotations: dict[str, str] | None
    resource_version: str | None
    spec: object
    uid: str | None = None


def written(body: object, kind: str, name: str) -> Written:
    """Raises Rejected when `body` is no `kind` called `name`."""
    _check_text(body)
    document = _object(body, "the body", _TOP)
    if document.get("apiVersion", API_VERSION) != API_VERSION:
        raise Rejected(f"apiVersion must be {API_VERSION}")
    if document.get("kind", kind) != kind:
        raise Rejected(f"kind must be {kind} here")
    metadata = _object(document.get("metadata") or {}, "metadata", _METADATA)
    checked_name(name, f"{kind} name")
    if metadata.get("name", name) != name:
        raise Rejected(f"metadata.name must be {name!r}, as in the address")
    labels, annotations = metadata.get("labels"), metadata.get("annotations")
    version, uid = metadata.get("resourceVersion"), metadata.get("uid")
    return Written(
        name=name,
        labels=None if labels is None else selectors.labels(labels),
        annotations=None if annotations is None else _annotations(annotations),
        resource_version=None if version is None else str(version),
        spec=document.get("spec"),
        uid=None if uid is None else str(uid),
    )


def _check_text(body: object) -> None:
    """JSON can spell half of a character (\\ud800), which can be stored and in no answer be shown again."""
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise Rejected("the body holds half a character, or is nested too deep; write it as plain text") from error


def _object(value: object, where: str, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Rejected(f"{where} must be an object")
    for key in value:
        if key not in known:
            raise Rejected(f"{where} has no field {key!r}; there are {', '.join(sorted(known))}")
    return value


def _annotations(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for item in value.items() for part in item):
        raise Rejected("metadata.annotations must be an object of strings")
    for key, text in value.items():
        selectors.label_key(key, "annotation")
        if _CONTROL.search(text):
            raise Rejected(f"metadata.annotations: {key} holds a control character; remove it")
    if sum(len(key) + len(text) for key, text in value.items()) > _MAX_ANNOTATION:
        raise Rejected(f"metadata.annotations must be at most {_MAX_ANNOTATION} characters together")
    return dict(value)


def created(wish: Written, uid: str, now_ms: int) -> Meta:
    """Raises Conflict when the writer thinks that it exists."""
    if wish.resource_version is not None:
        raise Conflict(f"{wish.name} does not exist any more; leave out metadata.resourceVersion to make it anew")
    return Meta(uid=uid, created_unix_ms=now_ms, labels=wish.labels or {}, annotations=wish.annotations or {})


def _check_read(stored: Meta, wish: Written) -> None:
    again = "get it again and repeat your change"
    if wish.uid is not None and wish.uid != stored.uid:
        raise Conflict(f"{wish.name} was deleted and made anew since you read it; {again}")
    if wish.resource_version != str(stored.resource_version):
        raise Conflict(f"{wish.name} was changed since you read it; {again}")


def updated(stored: Meta, wish: Written, *, spec_changed: bool) -> tuple[Meta, Change]:
    """The metadata after the PUT. Raises Conflict when it was written against something older."""
    if wish.resource_version is not None:
        _check_read(stored, wish)
    labels = stored.labels if wish.labels is None else wish.labels
    annotations = stored.annotations if wish.annotations is None else wish.annotations
    if not spec_changed and (labels, annotations) == (stored.labels, stored.annotations):
        return stored, Change.UNCHANGED
    meta = replace(
        stored,
        labels=labels,
        annotations=annotations,
        generation=stored.generation + spec_changed,
        resource_version=stored.resource_version + 1,
    )
    return meta, Change.CONFIGURED
