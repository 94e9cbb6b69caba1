"""Numbers as people read them. Pure."""

from __future__ import annotations

from datetime import datetime

from protos.outcomes import LATENCY_BOUNDS_MS


def rate(per_second: float) -> str:
    return f"{per_second:.1f}" if per_second < 99.95 else f"{per_second:.0f}"


def milliseconds(seconds: float) -> str:
    """ "–" when nothing was measured; beyond the last bucket of latencies nobody knows how far."""
    if seconds <= 0:
        return "–"
    if seconds * 1000 >= LATENCY_BOUNDS_MS[-1]:
        return f"≥ {LATENCY_BOUNDS_MS[-1]:.0f}"
    return f"{seconds * 1000:.1f}" if seconds < 0.00995 else f"{seconds * 1000:.0f}"


def percent(part: int, whole: int) -> str:
    """Of nothing: "–". 100 and 0 are said only when exact: 99.96 % is not all."""
    if not whole:
        return "–"
    share = 100 * part / whole
    rounded = f"{share:.1f}"
    if rounded == "100.0":
        return "100" if part == whole else "99.9"
    if rounded == "0.0":
        return "0" if part == 0 else "0.1"
    return rounded


def size(count: float) -> str:
    """Bytes, in steps of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 9.95 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def bit_rate(bits_per_second: float) -> str:
    if bits_per_second < 1e6:
        return f"{bits_per_second / 1e3:.0f} kbit/s"
    return f"{bits_per_second / 1e6:.1f} Mbit/s"


def ago(seconds: float) -> str:
    """How long ago; coarse on purpose, so that it is calm to look at."""
    if seconds < 20:
        return "just now"
    if seconds < 90:
        return f"{round(seconds / 10) * 10:.0f} s ago"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min ago"
    if seconds < 129_600:
        return f"{seconds / 3600:.0f} h ago"
    return f"{seconds / 86_400:.0f} days ago"


def since(timestamp: str | None, now_ms: int) -> str:
    """How long ago an RFC 3339 moment was."""
    if not timestamp:
        return "never"
    return ago(max(0.0, now_ms / 1000 - datetime.fromisoformat(timestamp).timestamp()))


def short(digest: str) -> str:
    """The first hex digits of a digest."""
    return digest.removeprefix("sha256:")[:8]


def plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
