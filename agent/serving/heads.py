"""What a request tells of itself before its body: by what a node can turn it away without reading that. Pure.

    x-timeout-us         microseconds from arrival until no answer is wanted, as the parameter `timeout`
    x-deadline-unix-ns   the moment of that, as `deadline_unix_ns`
    x-priority           as `priority`
    x-partition          live, hard or batch, as `partition`
    x-site               who asks, where no certificate says it
    x-model, x-model-version   over gRPC, whose path does not name them

Headers over REST, metadata over gRPC. What a body says as well is the body's to say; of two deadlines the sooner holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from agent.door.shares import Partition
from agent.serving import parameters
from agent.serving.errors import BadRequest

TIMEOUT, DEADLINE = "x-timeout-us", "x-deadline-unix-ns"
PRIORITY, PARTITION, SITE = "x-priority", "x-partition", "x-site"
MODEL, VERSION = "x-model", "x-model-version"
EXPECTED_WAIT, SERVICE, WAITED = "x-expected-wait-ms", "x-service-us", "x-wait-us"  # of answers
TIMED = frozenset({TIMEOUT, DEADLINE})
NAMES = frozenset({TIMEOUT, DEADLINE, PRIORITY, PARTITION, SITE})
_LONGEST_SITE = 64  # characters


class Head(msgspec.Struct, frozen=True):
    """`timeout` in seconds; `partition` None and `priority` 0: not told."""

    site: str = ""
    partition: Partition | None = None
    priority: int = 0
    timeout: float | None = None
    deadline_unix_ns: int = 0


NOTHING = Head()
plain = lru_cache(maxsize=64)(Head)  # of a site: most requests come from few, and tell nothing


def head(told: Mapping[str, str], site: str, *, proven: bool) -> Head:
    """`site`: by whom it comes as far as the connection tells; `proven`: by a certificate. Raises BadRequest."""
    if NAMES.isdisjoint(told):
        return plain(site)
    timeout = _whole(told, TIMEOUT)
    return Head(
        site if proven else told.get(SITE, site)[:_LONGEST_SITE],
        parameters.partition(told[PARTITION], PARTITION) if PARTITION in told else None,
        _whole(told, PRIORITY),
        timeout / 1e6 if timeout else None,
        _whole(told, DEADLINE),
    )


def spent(waited: float, service: float) -> dict[str, str]:
    """What an answer tells of the time that it took here, so that a caller can tell it from the network's."""
    told = {SERVICE: str(int(service * 1e6))}
    if waited > 0.0:
        told[WAITED] = str(int(waited * 1e6))
    return told


def milliseconds(seconds: float) -> str:
    return str(math.ceil(seconds * 1e3))


def sooner(one: float | None, other: float | None) -> float | None:
    """Of two times, of which there may be none."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _whole(told: Mapping[str, str], name: str) -> int:
    text = told.get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= parameters.LARGEST_WHOLE):
        raise BadRequest(f"{name} must be a whole number from 0 to {parameters.LARGEST_WHOLE}")
    return int(text)
