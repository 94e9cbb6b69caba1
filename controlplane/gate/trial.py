"""The process that runs one model once: question and file on standard input, one JSON answer on standard output.

    {"size", "bytes", "seconds", "input"}\\n<bytes>   →   {"refusals": [[rule, detail]], "missing", "measured"?}

The model is loaded on the CPU with one thread and given a picture of noise, or zeros, at batch 1. What it holds beyond
an idle runtime and the fastest of a few runs are measured. Its end by the kernel, at a limit, is an answer too, which
the one who started it reads.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort

from controlplane.gate.lockdown import Peak, lock
from controlplane.gate.rules import Refusal, Rule, printable

RUNS = 3
LONG_SECONDS = 1.0  # a run of more is measured once
_SILENT = 4
_SHORT = re.compile(r"bad_alloc|allocate memory|out of memory|smaller than requested", re.IGNORECASE)
_SOURCE = re.compile(r"/onnxruntime_src/\S+ .*?\) ")
_WHOLE = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
_KINDS = {
    "tensor(bool)": np.bool_,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(string)": np.object_,
    **{f"tensor({name})": np.dtype(name).type for name in _WHOLE},
}
Feeds = dict[str, Any]


class Unfit(Exception):
    """Of the model; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


def tried(content: bytes, image: dict[str, Any] | None, peak: Peak) -> dict[str, Any]:
    """`measured`: {"peakBytes", "microseconds"}. Raises Unfit."""
    session = _translated("does not load", lambda: _session(content))
    guessed = image is None and any(not isinstance(side, int) for each in session.get_inputs() for side in each.shape)
    try:
        feeds = _feeds(session, image)
    except MemoryError:
        raise Unfit(_without_memory("cannot be given its input")) from None
    try:
        seconds = _translated("loads but does not run", lambda: _fastest(session, feeds))
    except Unfit as error:
        if not guessed or error.refusal.rule != Rule.TRIAL:
            raise
        seconds = 0.0  # it wants other sides than our guess of 1
    return {"peakBytes": max(0, peak.bytes - peak.before), "microseconds": round(seconds * 1e6)}


def _session(content: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _SILENT
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"], enable_fallback=0)


def _feeds(session: ort.InferenceSession, image: dict[str, Any] | None) -> Feeds:
    return {each.name: _feed(each, image) for each in session.get_inputs()}


def _feed(spec: Any, image: dict[str, Any] | None) -> Any:
    kind = _KINDS.get(spec.type)
    if kind is None:
        raise Unfit(Refusal(Rule.TRIAL, f"takes {spec.name!r} as {spec.type}, which nobody can send to a box"))
    if image is not None:
        shape = (1, image["height"], image["width"], 3)
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    sides = [side if isinstance(side, int) else 1 for side in spec.shape]
    return np.full(sides, "", object) if kind is np.object_ else np.zeros(sides, kind)


def _fastest(session: ort.InferenceSession, feeds: Feeds) -> float:
    """Seconds."""
    best = float("inf")
    for _ in range(RUNS):
        started = time.perf_counter()
        session.run(None, feeds)
        best = min(best, time.perf_counter() - started)
        if best > LONG_SECONDS:
            break
    return best


def _translated(what: str, act: Callable[[], Any]) -> Any:
    try:
        return act()
    except MemoryError:
        raise Unfit(_without_memory(what)) from None
    except Exception as error:  # noqa: BLE001 - whatever the runtime says of a stranger's model is about that model
        text = _SOURCE.sub("", " ".join(str(error).split()))
        if _SHORT.search(text):
            raise Unfit(_without_memory(what)) from None
        said = text.rsplit(" : ", 1)[-1][:200].rstrip(".")
        raise Unfit(Refusal(Rule.TRIAL, f"{what} ({said or type(error).__name__})")) from None


def _without_memory(what: str) -> Refusal:
    return Refusal(Rule.TRIAL_MEMORY, f"{what} in the memory that a trial is given")


def _used_once() -> None:
    """Everything that is loaded at its first use: later nothing can be."""
    np.random.default_rng(0).integers(0, 256, 1, np.uint8)
    for garbage in (b"", b"\x08"):
        try:
            _translated("", lambda: _session(garbage))  # noqa: B023 - called at once
        except Unfit:
            continue


def main() -> None:
    question = json.loads(sys.stdin.buffer.readline())
    ort.set_default_logger_severity(_SILENT)
    _used_once()
    peak = Peak()
    missing = lock(question["bytes"], question["seconds"])
    content = sys.stdin.buffer.read()
    try:
        answer: dict[str, Any] = {"refusals": [], "measured": tried(content, question["input"], peak)}
    except Unfit as error:
        answer = {"refusals": [[error.refusal.rule, printable(error.refusal.detail)]]}
    print(json.dumps(answer | {"missing": missing}))


if __name__ == "__main__":
    main()
