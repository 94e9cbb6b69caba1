"""The agent's log: JSON lines on standard error, and the newest lines for whoever looks.

Credentials in URLs are masked here once more, whoever wrote the line: this is the last gate before a disk or a screen.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from protos.fleet_pb2 import LogLine
from protos.secrets import masked

__all__ = ["Forwarder", "JsonLines", "configure", "masked"]


class JsonLines(logging.Formatter):
    """One JSON object per line, with the node's name."""

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "node": self._node,
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = masked(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class Forwarder(logging.Handler):
    """Hands each line to `say`, in the thread that logged it; `say` must only append."""

    def __init__(self, say: Callable[[LogLine], None]) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(
            LogLine(
                unix_ms=int(record.created * 1000),
                level=record.levelname.lower(),
                logger=record.name,
                message=masked(record.getMessage()),
            )
        )


def configure(level: str, node: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(node))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # It reports a caller that left before its answer as an error, with a traceback; the lane counts that as an outcome.
    logging.getLogger("grpc._cython.cygrpc").setLevel(logging.CRITICAL)
    for noisy in ("asyncio", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
