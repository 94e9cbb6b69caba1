"""What the page of settings shows beside its form. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controlplane.fleet.quantities import size_bytes
from controlplane.registry.domain import StoredRelease
from controlplane.settings.domain import NONE
from controlplane.ui import figures
from controlplane.ui.page import Document


def stored(releases: Iterable[StoredRelease], item: Document) -> dict[str, Any]:
    """What lies in the registry, each file once, next to its quota; `share` in percent, None without one."""
    releases = list(releases)
    files = {entry.digest: entry.size for release in releases for entry in release.files}
    taken, quota = sum(files.values()), item["spec"]["registry"]["quota"]
    share = None if quota == NONE else round(100 * taken / size_bytes(quota, "quota"), 1)
    return {
        "releases": figures.plural(len(releases), "release", "releases"),
        "files": figures.plural(len(files), "file", "files"),
        "bytes": figures.size(taken),
        "quota": quota,
        "share": share,
    }
