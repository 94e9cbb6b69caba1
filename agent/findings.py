"""What was looked at on this box, one sentence each, worst first. Pure.

Broken: the agent cannot do its job until it is mended, and the exit code says so. Note: worth knowing; it goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing looked at; the sentence of what is not well says how to mend it."""

    subject: str
    sentence: str
    broken: bool = False
    note: bool = False

    @property
    def level(self) -> str:
        return "broken" if self.broken else "note" if self.note else "ok"


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """What is broken first, then what is worth knowing."""
    return sorted(findings, key=lambda finding: (not finding.broken, not finding.note))


def report(findings: Sequence[Finding]) -> str:
    """One line each."""
    width = max((len(finding.subject) for finding in findings), default=0)
    return "\n".join(f"{_mark(f)}  {f.subject.ljust(width)}  {f.sentence}" for f in findings)


def as_json(findings: Sequence[Finding]) -> str:
    found = [{"subject": f.subject, "level": f.level, "sentence": f.sentence} for f in findings]
    return json.dumps({"ok": not any(f.broken for f in findings), "findings": found}, indent=2, ensure_ascii=False)


def _mark(finding: Finding) -> str:
    return finding.level.upper().ljust(6) if finding.broken else finding.level.ljust(6)
