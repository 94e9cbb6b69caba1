"""What the card of a packaged release says of where it came from, in Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.packaging.folding import Plan
from controlplane.packaging.seen import shown

BLANK = "What it was trained on, how good it is, and where it fails: write it here."


@dataclass(frozen=True)
class Origin:
    """The file that was packaged."""

    name: str
    sha256: str  # hexadecimal
    size: int  # bytes


def section(origin: Origin, decided: Plan | None) -> str:
    """`decided` is None where the file was taken as it was."""
    rows = [("source file", f"`{origin.name}`, {origin.size} bytes"), ("its SHA-256", f"`{origin.sha256}`")]
    if decided is None:
        rows.append(("graph", "taken as it is"))
    else:
        rows += _decisions(decided)
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    notes = "".join(f"\n- {note}" for note in (decided.notes if decided else ()))
    return f"## Packaging\n\n| | |\n|---|---|\n{table}\n" + (f"{notes}\n" if notes else "")


def _decisions(decided: Plan) -> list[tuple[str, str]]:
    frame, limits = decided.frame, decided.limits
    rows = [
        ("head", decided.head or "classifier"),
        ("pictures", f"{frame.width}×{frame.height}, {decided.fit}"),
        ("pixels", decided.pixels.sentence),
        ("input of the source", f"`{shown(frame.name)}`, {frame.layout.upper()}"),
        ("batch", "free" if frame.batch == 0 else str(frame.batch)),
    ]
    if decided.head:
        rows.append(("candidates", f"score above {limits.score:g}, IoU up to {limits.iou:g}, best {limits.top_k}"))
    return rows
