"""Inputs in shared memory, which callers on the same box need not send.

A server that lists the extension in its metadata is told of one region per workload; the files lie in /dev/shm while
the benchmark runs.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

from bench.serving.asking import Question, exchange
from bench.serving.load import Target
from bench.serving.wire import region_name
from bench.serving.workloads import Workload

EXTENSION = "system_shared_memory"
SHM = Path("/dev/shm")


def offered(target: Target) -> bool:
    """Raises Retryable, OSError."""
    metadata = json.loads(exchange(target, Question("GET", "/v2")).body)
    return EXTENSION in metadata.get("extensions", [])


def register(stack: ExitStack, target: Target, workload: Workload) -> None:
    """Write its input and tell the server; removed with the stack. Raises Retryable, OSError."""
    name, data = region_name(workload), workload.input().tobytes()
    path = SHM / name
    stack.callback(path.unlink, missing_ok=True)
    path.write_bytes(data)
    body = json.dumps({"key": f"/{name}", "offset": 0, "byte_size": len(data)}).encode()
    exchange(target, Question("POST", f"/v2/systemsharedmemory/region/{name}/register", body))
