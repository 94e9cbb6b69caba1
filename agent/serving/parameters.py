"""Request parameters of the Open Inference Protocol that we honour; pure. Unknown ones are ignored, as it says.

`timeout`: microseconds from arrival, 0 means none. `deadline_unix_ns`: the moment after which no answer is wanted, by
this box's clock; 0 means none. `priority`: 1 goes first, 0 means the usual one. `partition`: live, hard or batch, whose
share of the engine it uses. `min_score`, 0 to 1: boxes of an encoded picture below it are left out. What would need
more than we have (classification strings) is refused, not ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.door.shares import Partition
from agent.serving.errors import BadRequest
from agent.serving.shared_memory import RegionPart

LARGEST = 1 << 53  # what a float holds exactly; 285 years of microseconds
LARGEST_WHOLE = (1 << 63) - 1
REGION, OFFSET, BYTE_SIZE = "shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"


@dataclass(frozen=True)
class Policy:
    """How a request is to be run; `timeout` in seconds."""

    timeout: float | None = None
    min_score: float = 0.0
    priority: int = 0
    deadline_unix_ns: int = 0
    partition: Partition | None = None


USUAL = Policy()
_NAMES = frozenset({"timeout", "min_score", "priority", "deadline_unix_ns", "partition"})


def policy(parameters: Mapping[str, object]) -> Policy:
    """Raises BadRequest."""
    if _NAMES.isdisjoint(parameters):
        return USUAL
    timeout = _number(parameters, "timeout")
    return Policy(
        timeout / 1e6 if timeout else None,
        _number(parameters, "min_score", 1),
        _whole(parameters, "priority"),
        _whole(parameters, "deadline_unix_ns"),
        partition(parameters["partition"], "parameter 'partition'") if "partition" in parameters else None,
    )


def partition(word: object, what: str) -> Partition:
    """Raises BadRequest, naming `what`."""
    if word not in tuple(Partition):
        raise BadRequest(f"{what} must be one of {', '.join(Partition)}")
    return Partition(str(word))


def region_part(tensor: str, parameters: Mapping[str, object]) -> RegionPart | None:
    """Where a tensor's bytes lie, if not in the message. Raises BadRequest, also for an extension we do not have."""
    if parameters.get("classification"):
        raise BadRequest(f"tensor {tensor!r}: the 'classification' extension is not supported; ask for the tensor")
    region = parameters.get(REGION)
    if region is None or region == "":
        if BYTE_SIZE in parameters or OFFSET in parameters:
            raise BadRequest(f"tensor {tensor!r}: a place in shared memory needs {REGION!r}")
        return None
    if not isinstance(region, str) or BYTE_SIZE not in parameters:
        raise BadRequest(f"tensor {tensor!r}: {REGION!r} is a text, and {BYTE_SIZE!r} comes with it")
    return RegionPart(region, _whole(parameters, OFFSET), _whole(parameters, BYTE_SIZE))


def of_region(region: str, offset: int, nbytes: int) -> dict[str, str | int]:
    """What an output's parameters say of where it was written."""
    return {REGION: region, OFFSET: offset, BYTE_SIZE: nbytes}


def _number(parameters: Mapping[str, object], name: str, most: int = LARGEST) -> float:
    value = parameters.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        raise BadRequest(f"parameter {name!r} must be a number from 0 to {most}")
    return float(value)


def _whole(parameters: Mapping[str, object], name: str) -> int:
    value = parameters.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_WHOLE:
        raise BadRequest(f"parameter {name!r} must be a whole number from 0 to {LARGEST_WHOLE}")
    return value
