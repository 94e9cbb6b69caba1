"""What a backup is made of, and whether it may be restored here. Pure.

The archive is a plain tar: `state/…` as it lies below `<state>/controlplane`, `database.sqlite` or `database.sql`, and
last `manifest.json` with the digest of each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from protos import versions
from protos.errors import Rejected

FORMAT = 1
MANIFEST = "manifest.json"
STATE = "state/"
DATABASES = {"sqlite": "database.sqlite", "postgresql": "database.sql"}
_KEYS = re.compile(r"(?:.*\.key|admin\.token)")  # who has them is the control plane, or its administrator
_LEFT = re.compile(r"lock|longshore\.db.*|blobs/(?:staging|chunks)/.*|(?:.*/)?\.[^/]*")  # the database comes by itself


@dataclass(frozen=True)
class Entry:
    sha256: str  # hex
    size: int
    mode: int


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself."""

    version: str  # of the Longshore that made it
    created: str  # RFC 3339
    database: str  # sqlite or postgresql
    revision: str  # of the database
    keys: bool
    files: Mapping[str, Entry]

    def to_bytes(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True).encode()

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.files.values())


def parsed(content: bytes) -> Manifest:
    """Raises Rejected for what is none, or of a later format."""
    try:
        found: dict[str, Any] = json.loads(content)
        if found.pop("format") > FORMAT:
            raise Rejected("this backup was made by a newer Longshore; restore it with that one")
        files = {str(name): Entry(**entry) for name, entry in found.pop("files").items()}
        return Manifest(files=files, **found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Rejected("this file is no backup of Longshore, or its manifest is damaged") from error


def wanted(path: str, *, keys: bool) -> bool:
    """Does the file at `path`, relative to the control plane's folder, belong into a backup?"""
    return not _LEFT.fullmatch(path) and (keys or not _KEYS.fullmatch(path))


def unsafe(name: str) -> bool:
    """Would this member be written elsewhere than it says?"""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\0" in name or str(path) != name


def check_restorable(manifest: Manifest, ours: str, newest_revision: str) -> None:
    """Raises Rejected when this Longshore is older than the backup."""
    theirs, here = versions.release(manifest.version), versions.release(ours)
    if (theirs and here and theirs > here) or manifest.revision > newest_revision:
        raise Rejected(
            f"this backup is of Longshore {manifest.version} and this is {ours}; update first, or use that one"
        )


def missing(named: set[str], files: Mapping[str, Entry]) -> set[str]:
    """Digests (hex) that the database names and the archive lacks."""
    return {digest for digest in named if f"{STATE}blobs/sha256/{digest}" not in files}
