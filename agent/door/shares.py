"""Partitions of an engine's time, and how a node is told their shares. Pure.

    live=80,hard=15,batch=5

Percent, together 100. What a partition does not use the others have: a share is what is left to it when all ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from protos.errors import Rejected


class Partition(StrEnum):
    LIVE = "live"  # frames of cameras that somebody waits for
    HARD = "hard"  # examples that a box was not sure of, for labels
    BATCH = "batch"  # all else


Shares = Mapping[Partition, float]
SHARES: Shares = MappingProxyType({Partition.LIVE: 0.80, Partition.HARD: 0.15, Partition.BATCH: 0.05})
WORDS = ",".join(f"{name}={share:.0%}".rstrip("%") for name, share in SHARES.items())


def usual(*, timed: bool) -> Partition:
    """Of a request that names none."""
    return Partition.LIVE if timed else Partition.BATCH


def shares(text: str, key: str) -> Shares:
    """`key`: what it is the value of. Raises Rejected."""
    found: dict[Partition, float] = {}
    for part in text.replace(" ", "").split(","):
        name, _, percent = part.partition("=")
        if name not in tuple(Partition) or not (percent.isascii() and percent.isdecimal()) or int(percent) < 1:
            raise Rejected(f"{key}: {part!r} must be one of {', '.join(Partition)} with its percent, like live=80")
        found[Partition(name)] = int(percent) / 100
    if len(found) < len(Partition) or round(100 * sum(found.values())) != 100:
        raise Rejected(f"{key}={text!r} must name {', '.join(Partition)}, and their percents must add up to 100")
    return {name: found[name] for name in Partition}
