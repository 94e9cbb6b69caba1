"""The agent's log: JSON lines on standard error, and the newest lines for whoever looks.

Credentials in URLs are masked here once more, whoever wrote the line: this is the last gate before a disk or a screen.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from protos.fleet_pb2 import LogLine

_CREDENTIALS = re.compile(r"(\w+://)[^/?#\s]+@")  # up to the last @: a careless password may hold one
_SECRET_FIELD = re.compile(r"((?:pass|passwd|password|pwd|token|secret|auth|key)=)[^&/?#;\s]+", re.IGNORECASE)
_JOIN_TOKEN = re.compile(r"LS1\.[0-9a-f]{64}\.[a-z0-9]+\.[A-Za-z0-9_-]+")


def masked(text: str) -> str:
    """`text` without user names, passwords and join tokens."""
    text = _JOIN_TOKEN.sub("LS1.***", text)
    return _SECRET_FIELD.sub(r"\1***", _CREDENTIALS.sub(r"\1***@", text)) if "://" in text else text


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
