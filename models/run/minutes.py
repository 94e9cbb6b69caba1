"""How long the parts of a Run took, over every start of it."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.run.folder import write_whole


class Minutes:
    """Kept in `work/minutes.json`; what a killed process had not noted is lost."""

    def __init__(self, work: Path) -> None:
        self._file = work / "minutes.json"
        self._spent: dict[str, float] = json.loads(self._file.read_text()) if self._file.exists() else {}

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Count what happens within as `part`, and its processor time as `cpu`."""
        started, before = time.monotonic(), sum(os.times()[:4])
        try:
            yield
        finally:
            self._add(part, time.monotonic() - started)
            self._add("cpu", sum(os.times()[:4]) - before)
            write_whole(self._file, json.dumps(self._spent).encode())

    def of(self, part: str) -> float:
        return self._spent.get(part, 0.0)

    def _add(self, part: str, seconds: float) -> None:
        self._spent[part] = self.of(part) + seconds / 60
