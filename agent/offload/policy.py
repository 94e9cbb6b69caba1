"""Where a frame goes, decided at its arrival and once more before it would start.

The first, simple policy: on the box when the box can meet the deadline; else to the cloud when the cloud can; else late
on the box when it has nothing better to do (a late answer still tells something); else shed. While the cloud carries
the load the box is tried now and then with a copy (HEDGE), or it would never be found fast again.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

PROBE_SECONDS = 1.0  # between copies run on a box that is thought too slow


class Parts(msgspec.Struct, frozen=True):
    """Parts of the policy; each can be switched off, to measure what it earns. An agent has all of them."""

    cascade: bool = True  # a doubtful answer of the box is asked of the cloud too
    hedge: bool = True  # a frame in the cloud is started here in the last moment
    prices: bool = True  # what an answer costs is weighed against what it is worth
    edf: bool = True  # by deadline; else by arrival
    earlier_only: bool = True  # what is due later than a frame is not counted as ahead of it
    hard_bucket: bool = True  # what may be sent in a minute has an end, whatever the prices say


ALL_PARTS = Parts()


class Route(StrEnum):
    LOCAL = "local"
    CLOUD = "cloud"
    HEDGE = "hedge"  # to the cloud, and a copy on the box
    LATE = "late"  # on the box, knowing that it will be late
    SHED = "shed"


class LocalView(msgspec.Struct, frozen=True):
    """The box, as seen by one frame. Seconds; `free_at` is absolute."""

    ready: bool  # an engine is loaded
    free_at: float  # when everything that runs before this frame is done
    planned: float  # one inference
    idle: bool  # nothing runs, nothing waits
    waiting: bool  # an older frame of the same tap waits for its turn
    measured_at: float  # when an inference last ended
    improving: bool  # it was much faster than planned


class CloudView(msgspec.Struct, frozen=True):
    """The cloud, as seen by one frame. `typical`: encoding, wire and inference together, seconds; half take longer."""

    usable: bool  # allowed, breaker closed, budget left, not too many under way
    typical: float


def decide(deadline: float, local: LocalView, cloud: CloudView, now: float) -> Route:
    """The route of one frame whose answer is due at `deadline`."""
    in_time_here = local.ready and local.free_at + local.planned <= deadline
    in_time_there = cloud.usable and now + cloud.typical <= deadline
    if in_time_here and not (local.waiting and in_time_there):
        return Route.LOCAL
    if in_time_there:
        return Route.HEDGE if _worth_a_probe(local, now) else Route.CLOUD
    if local.ready and local.idle:
        return Route.LATE
    return Route.SHED


def _worth_a_probe(local: LocalView, now: float) -> bool:
    overdue = now - local.measured_at >= PROBE_SECONDS
    return local.ready and local.idle and (overdue or local.improving)


def hedge_at(deadline: float, planned: float) -> float:
    """When a frame in the cloud should also start here, if the cloud is still silent."""
    return deadline - 1.6 * planned - 0.004
