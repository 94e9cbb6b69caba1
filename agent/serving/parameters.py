"""Request parameters of the Open Inference Protocol that we honour; pure. Unknown ones are ignored, as it says.

`timeout`: microseconds from arrival, 0 means none. `min_score`: boxes of an encoded picture below it are left out.
What would need more than we have (shared memory, classification strings) is refused rather than ignored.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.serving.errors import BadRequest

REFUSED = ("shared_memory_region", "classification")
LARGEST = 1 << 53  # what a float holds exactly; 285 years of microseconds


def timeout_seconds(parameters: Mapping[str, object]) -> float | None:
    """Raises BadRequest."""
    value = _number(parameters, "timeout")
    return value / 1e6 if value else None


def min_score(parameters: Mapping[str, object]) -> float:
    """Raises BadRequest."""
    return _number(parameters, "min_score")


def check_supported(tensor: str, parameters: Mapping[str, object]) -> None:
    """Raises BadRequest for an extension we do not have."""
    for name in REFUSED:
        if parameters.get(name):
            raise BadRequest(
                f"tensor {tensor!r}: the {name!r} extension is not supported; send and receive tensor data"
            )


def _number(parameters: Mapping[str, object], name: str) -> float:
    value = parameters.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LARGEST:
        raise BadRequest(f"parameter {name!r} must be a number from 0 to {LARGEST}")
    return float(value)
