"""What a certificate of ours says, decided without a key or a clock."""

from __future__ import annotations

from dataclasses import dataclass

from protos.ids import NodeId

BACKDATED_SECONDS = 48 * 3600  # box clocks are wrong, most often slow
DAY = 86_400
CONTROL_PLANE_USER = "_controlplane"  # at the broker; '_' is in no node id
REPLICAS = 8  # control planes on one database; the broker admits one client per name
EVENTS_USER = "_events"  # applications at the broker: they hear events and presence, and say nothing
TRUST_DOMAIN = "longshore"


@dataclass(frozen=True)
class Validity:
    """Unix seconds."""

    not_before: int
    not_after: int


def validity(unix: float, days: float) -> Validity:
    return Validity(int(unix) - BACKDATED_SECONDS, int(unix + days * DAY))


def replica_user(first: str, replica: int) -> str:
    """The name at the broker of the control plane with this number, from 1."""
    return first if replica == 1 else f"{first}-{replica}"


def device_uri(node: NodeId) -> str:
    return f"spiffe://{TRUST_DOMAIN}/device/{node}"


def due_for_renewal(issued: float, not_after: float, unix: float) -> bool:
    """From half of its life on; a failed try then leaves as long again to mend it."""
    return unix >= issued + (not_after - issued) / 2
