"""When a certificate is renewed, and what a wrong clock means. Pure: values and `now` in.

A box's clock may be wrong by a day and more; the control plane's is right. Certificates are backdated by 48 h for that
reason, so the day of issue is `not_before` + 48 h. `now` here is the box's clock corrected by what the last Sync said.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.types import Problem

DAY = 86_400.0
BACKDATED_SECONDS = 2 * DAY
LATE_SECONDS = 90 * DAY  # a control plane renews a certificate for so long after it expired, unless told otherwise
COMMANDS = {"edge": "longshore-agent run", "cloud": "longshore-agent serve"}  # by role
TELL_SECONDS = 60.0  # a clock further off than this is told to the operator


@dataclass(frozen=True)
class CertificateFacts:
    """What a certificate says; unix seconds."""

    not_before: float
    not_after: float
    public_key: str  # SHA-256 of its SubjectPublicKeyInfo, hex
    node_id: str  # of its SPIFFE id, "" when it has none


def renew_at(facts: CertificateFacts, spread: float) -> float:
    """Half of the life, plus up to a tenth by `spread` (0…1, drawn once) so that a fleet does not come at once."""
    issued = min(facts.not_before + BACKDATED_SECONDS, facts.not_after)
    return issued + (facts.not_after - issued) * (0.5 + 0.1 * spread)


def expiry_problem(facts: CertificateFacts, now: float) -> Problem | None:
    """Running models never stop for it; a box that was away for weeks comes back by itself."""
    if now < facts.not_after:
        return None
    expired = f"this box's certificate expired {_span(now - facts.not_after)} ago"
    if now <= facts.not_after + LATE_SECONDS:
        mend = "the running agent renews it as soon as it reaches the control plane over HTTPS"
    else:
        mend = "that is too long to renew it; make a token with 'longshore token create' and join this box again"
    return Problem("certificate-expired", f"{expired}; {mend}")


def role_problem(joined: str, asked: str) -> str | None:
    """Why a box that joined as `joined` is not started as `asked`, in one sentence; None when it may be."""
    if joined == asked:
        return None
    start = f"'{COMMANDS[joined]}'" if joined in COMMANDS else "a newer agent"
    return (
        f"this box joined as {joined}, so start it with {start}; to make it {asked}, join it again with a token of "
        f"'longshore token create --role {asked}'"
    )


def clock_problem(offset: float) -> Problem | None:
    """`offset`: seconds to add to the box's clock to get the control plane's."""
    if abs(offset) <= TELL_SECONDS:
        return None
    code, word = ("clock-behind", "behind") if offset > 0 else ("clock-ahead", "ahead of")
    return Problem(code, f"this box's clock is {_span(abs(offset))} {word} the control plane's; set it, or run NTP")


def _span(seconds: float) -> str:
    for size, name in ((DAY, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
