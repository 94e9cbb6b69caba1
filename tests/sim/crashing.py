"""Ports that end the process, for real, before the nth call of any of them: `os.kill(os.getpid(), 9)`."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

from agent.update import progress
from protos.ids import Digest


@dataclass
class CrashPoint:
    """Counts port calls over all ports; `at` None never kills. `witness` looks at the world before each call."""

    at: int | None = None
    witness: Callable[[str], None] = lambda _: None
    labels: list[str] = field(default_factory=list)

    def hit(self, label: str) -> None:
        self.witness(label)
        self.labels.append(label)
        if len(self.labels) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


class Crashing:
    """Any port, each call of which is a crash point."""

    def __init__(self, inner: Any, name: str, point: CrashPoint) -> None:
        self._inner = inner
        self._name = name
        self._point = point

    def __getattr__(self, method: str) -> Any:
        real = getattr(self._inner, method)

        def call(*arguments: Any, **more: Any) -> Any:
            self._point.hit(_label(self._name, method, arguments))
            return real(*arguments, **more)

        return call if callable(real) else real


class CrashingBlobs:
    """A BlobSource, each chunk of which is a crash point."""

    def __init__(self, inner: Any, point: CrashPoint) -> None:
        self._inner = inner
        self._point = point

    async def fetch(
        self, digest: Digest, offset: int, rate: float = 0.0, /, *, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        self._point.hit("blobs.fetch")
        async for chunk in self._inner.fetch(digest, offset, rate, stop=stop):
            self._point.hit("blobs.chunk")
            yield chunk

    async def table(self, digest: Digest, most: int) -> bytes | None:
        self._point.hit("blobs.table")
        found: bytes | None = await self._inner.table(digest, most)
        return found


def _label(name: str, method: str, arguments: tuple[Any, ...]) -> str:
    """A state that is being entered is in the label: `state.put WARMING`."""
    if method == "put" and str(arguments[0]).startswith("update/"):
        return f"{name}.{method} {progress.from_bytes(arguments[1]).state}"
    return f"{name}.{method}"
