"""Metadata of an object ↔ the columns that every table of objects has. Pure."""

from __future__ import annotations

from typing import Any

from controlplane.fleet.objects import Meta
from controlplane.tables import ObjectColumns


def meta_columns(meta: Meta) -> dict[str, Any]:
    return {
        "uid": meta.uid,
        "labels": dict(meta.labels),
        "annotations": dict(meta.annotations),
        "generation": meta.generation,
        "resource_version": meta.resource_version,
        "created_ms": meta.created_unix_ms,
    }


def meta(row: ObjectColumns) -> Meta:
    return Meta(
        uid=row.uid,
        created_unix_ms=row.created_ms,
        labels=row.labels,
        annotations=row.annotations,
        generation=row.generation,
        resource_version=row.resource_version,
    )
