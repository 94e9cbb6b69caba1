"""Rows of ingest from values by name, for fleets that tell more than anybody wants to spell out as messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from controlplane.ingest.domain import COLUMNS, DOCUMENTS, Kind, Row

DEFAULTS: Mapping[str, Any] = {
    "happened": [],
    "labels": None,
    "zones": None,
    "top_score": None,
    "stages": {},
    "decided": {},
    "rung_why": "",
    "gap_epoch": "",
    "lower_bound": False,
    "told_day": 0,
}


def row(kind: Kind, seq: int, values: Mapping[str, Any]) -> Row:
    """What `values` leave out is as if it had not been told."""
    told = {**DEFAULTS, **values}
    cells = (json.dumps(told[name]) if name in DOCUMENTS else told[name] for name in COLUMNS[kind])
    return Row(kind, seq, seq, tuple(cells), b"")
