"""A loaded graph, whichever runtime runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agent.ports import ModelSignature

Array = NDArray[np.generic]


class Graph(Protocol):
    """Used by several threads at once."""

    @property
    def signature(self) -> ModelSignature: ...

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
        """The named outputs, or all in the graph's order. Raises BadInput, Retryable."""
        ...

    def alone(self, model: bytes, cores: int) -> Graph:
        """The same model once more, for one call at a time over so many cores. Raises BadModel, Retryable, Fatal."""
        ...
