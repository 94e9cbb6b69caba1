"""The limit: ONNX Runtime itself, with nothing around it. `python -m bench.serving.raw FOLDER` answers on its pipes.

`rate`: one process, as many threads as cores on one session of one thread each: what the machine can do. `alone`: one
call at a time over all cores: how fast a single request can be. One JSON object in and one out per line.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

from bench.serving import workloads
from bench.serving.workloads import INPUT, WORKLOADS
from protos.errors import Fatal

CORES = os.cpu_count() or 1


class Raw:
    """The process, as the benchmark sees it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "bench.serving.raw", str(self._folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def rate(self, model: str, seconds: float) -> float:
        """Answers per second at one picture a call."""
        return self._ask(what="rate", model=model, seconds=seconds)

    def alone(self, model: str, seconds: float) -> float:
        """Median seconds of a call over all cores."""
        return self._ask(what="alone", model=model, seconds=seconds)

    def _ask(self, **question: object) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        told = self._process.stdout.readline()
        if not told:
            raise Fatal("raw ONNX Runtime ended while it was measured; its error stands above")
        return float(told)


class _Sessions:
    """Two sessions of each model, made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, int], Any] = {}

    def get(self, model: str, threads: int) -> Any:
        import onnxruntime

        if (model, threads) not in self._made:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
            content = workloads.model(self._folder, model)
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            for _ in range(3):  # allocations and caches
                session.run(None, {INPUT: WORKLOADS[model].input()})
            self._made[model, threads] = session
        return self._made[model, threads]


def _calls(session: Any, model: str, seconds: float) -> list[float]:
    """Seconds that each call took."""
    feeds = {INPUT: WORKLOADS[model].input()}
    took: list[float] = []
    until = time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        session.run(None, feeds)
        took.append(time.perf_counter() - began)
    return took


def _rate(session: Any, model: str, seconds: float) -> float:
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(len(_calls(session, model, seconds)))) for _ in range(CORES)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def main() -> None:
    sessions = _Sessions(Path(sys.argv[1]))
    for line in sys.stdin:
        question = json.loads(line)
        model, seconds = question["model"], question["seconds"]
        if question["what"] == "rate":
            found = _rate(sessions.get(model, 1), model, seconds)
        else:
            found = statistics.median(_calls(sessions.get(model, CORES), model, seconds))
        print(found, flush=True)


if __name__ == "__main__":
    main()
