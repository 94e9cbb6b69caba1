"""How long nobody has acknowledged telemetry although some was sent, and when that is an alarm. Pure.

A broker that refuses, one where nobody listens, and a control plane that is away look alike from here: records go out
and stay. While the way is closed there is no silence, for nothing can be heard: that is the link's own trouble.
"""

from __future__ import annotations

from dataclasses import dataclass

DARK_SECONDS = 15.0  # what was accepted in a longer silence is historical when it ends
ALARM_SECONDS = 120.0
CODE = "telemetry-unacknowledged"
NOBODY = "No matching subscribers"  # as MQTT 5 names it
NO_ACK = "no acknowledgement"  # the broker took a batch and nothing came back; all that MQTT 3.1.1 shows of a refusal


@dataclass
class Silence:
    since: float | None = None  # monotonic, of the first sending that nothing has answered; None: nobody is waited for
    reason: str = ""  # why the broker did not take what was sent last; "": it took it

    def asked(self, now: float) -> None:
        """Records are being sent."""
        self.since = now if self.since is None else self.since

    def heard(self, now: float, *, waits: bool) -> None:
        """An acknowledgement came; more of them are awaited, or not."""
        self.since = now if waits else None

    def closed(self) -> None:
        """There is no connection."""
        self.since = None

    def seconds(self, now: float) -> float:
        return 0.0 if self.since is None else now - self.since

    def alarming(self, now: float) -> bool:
        return self.seconds(now) >= ALARM_SECONDS

    @property
    def alarm_at(self) -> float | None:
        """When it will be, if nothing is heard."""
        return None if self.since is None else self.since + ALARM_SECONDS

    @property
    def sentence(self) -> str:
        waits = "what this box tells waits on it"
        if self.reason == NOBODY:
            return f"nobody takes telemetry from the broker, {waits}: see that the control plane runs and reaches it"
        if self.reason:
            return f"the broker takes no telemetry of this box ({self.reason}), {waits}: see the broker's rules and log"
        return (
            f"no telemetry of this box is acknowledged, {waits}: see that the control plane runs and reaches its "
            "database and the broker, and that the broker's rules let this box publish"
        )
