"""What every document of ours says in the same way, whatever renders it: its version, and moments. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

API_VERSION = "longshore/v1"


def moment(unix_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    text = datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def moment_or_never(unix_ms: int) -> str | None:
    """The same; None for 0."""
    return moment(unix_ms) if unix_ms else None
