"""Starts the gate's two processes for one file, gives them its bytes, and makes an answer of what comes back.

A file that makes a parser crash, hang or swell costs that process and nobody else. A process that ends without an
answer is an answer: which limit it met is read from how it ended.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import controlplane
from controlplane.gate.facts import Operator
from controlplane.gate.lockdown import environment
from controlplane.gate.rules import Refusal, Rule
from protos.errors import Rejected, Retryable
from protos.manifest import ImageInput, Measured

log = logging.getLogger(__name__)
Read = Callable[[], Iterable[bytes]]  # the file from its beginning, each time it is called

STATIC_SECONDS = 30.0  # of a small file, by the clock: the process has less of its own, by the processor's
SECONDS_BYTES = 10 << 20  # and one more for so many bytes
MAX_BYTES = (1 << 31) - 1  # protobuf reads no larger message
_ROOT = Path(controlplane.__file__).parent.parent  # where `-m` finds us, installed or not
_MAX_ANSWER = 1 << 20
_OUT_OF_TIME = (-signal.SIGXCPU, -signal.SIGKILL)


@dataclass(frozen=True)
class Trial:
    """Limits of the one run. Beside `bytes`, a model may take what its own size explains."""

    bytes: int = 2 << 30
    seconds: int = 30  # of the processor, loading included
    times_model: int = 12  # as a box's worker is given


@dataclass(frozen=True)
class Use:
    """What a manifest says of a graph."""

    task: str
    image: ImageInput | None

    @property
    def question(self) -> dict[str, Any]:
        image = self.image
        wanted = {"name": image.name, "height": image.height, "width": image.width} if image else None
        return {"task": self.task, "input": wanted}


@dataclass(frozen=True)
class Gate:
    """`operators` are allowed beside our list: (domain, name)."""

    operators: frozenset[Operator] = frozenset()
    trial: Trial = Trial()

    def examine(self, path: str, read: Read, size: int, use: Use) -> Measured:
        """Both halves; what the run took.

        Raises:
            Rejected: file, rule and next step.
            Retryable: it could not be looked at now.
        """
        self.check(path, read, size, use)
        return self.run(path, read, size, use)

    def check(self, path: str, read: Read, size: int, use: Use | None = None) -> None:
        """By rules alone, without a run; without `use` also without what a manifest says. Raises as `examine`."""
        question: dict[str, Any] = {"operators": sorted(self.operators), **(use.question if use else {})}
        _static(path, question, read, size)

    def run(self, path: str, read: Read, size: int, use: Use) -> Measured:
        """Raises as `examine`."""
        room = self.trial.bytes + self.trial.times_model * size
        question = {"bytes": room, "seconds": self.trial.seconds, "input": use.question["input"]}
        child = _Child("controlplane.gate.trial", 4.0 * self.trial.seconds)
        measured = _judge(path, child.ask(question, read, size), _failed_trial(child, self.trial))["measured"]
        return Measured(measured["peakBytes"], measured["microseconds"])

    def outline(self, path: str, read: Read, size: int) -> dict[str, Any]:
        """What a graph is made of, of a file that passed once. Raises as `examine`."""
        found: dict[str, Any] = _static(path, {"outline": True}, read, size)["outline"]
        return found


def _static(path: str, question: dict[str, Any], read: Read, size: int) -> dict[str, Any]:
    if size > MAX_BYTES:
        too_large = Refusal(Rule.SIZE, f"has {size} bytes, more than the {MAX_BYTES} of an ONNX file")
        raise Rejected(too_large.sentence(path))
    child = _Child("controlplane.gate.static", STATIC_SECONDS + size / SECONDS_BYTES)
    answer = child.ask(question, read, size)
    return _judge(path, answer, lambda: _out_of_bounds(child, path))


def _out_of_bounds(child: _Child, path: str) -> Refusal:
    """Of a process that gave no answer."""
    if child.ended > 0:
        raise Retryable(f"{path} could not be looked at; see that the 'onnx' package is whole")
    return Refusal(Rule.BOUNDS, "is no ONNX file that can be read within bounds of time and memory")


def _failed_trial(child: _Child, limits: Trial) -> Callable[[], Refusal]:
    def why() -> Refusal:
        if child.ended > 0:
            raise Retryable("no trial could be started; see that the 'onnxruntime' package is whole")
        if child.ended in _OUT_OF_TIME:
            return Refusal(Rule.TRIAL_TIME, f"does not load and run in {limits.seconds} seconds")
        return Refusal(Rule.TRIAL, f"ends the runtime that loads it (signal {-child.ended})")

    return why


def _judge(path: str, answer: bytes, failed: Callable[[], Refusal]) -> dict[str, Any]:
    """Raises Rejected, Retryable."""
    try:
        said: dict[str, Any] = json.loads(answer)
        refusals = [Refusal(Rule(rule), detail) for rule, detail in said["refusals"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Rejected(failed().sentence(path)) from error
    for layer in said.get("missing", ()):
        log.warning("models are looked at without %s", layer)
    if refusals:
        raise Rejected(refusals[0].sentence(path))
    return said


class _Child:
    """One process; `ended` is its return code afterwards, negative for a signal."""

    def __init__(self, module: str, seconds: float) -> None:
        self._module = module
        self._seconds = seconds
        self.ended = 0

    def ask(self, question: dict[str, Any], read: Read, size: int) -> bytes:
        """What it answers; empty where it ends without."""
        with subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(os.environ, _ROOT),
        ) as child:
            watchdog = threading.Timer(self._seconds, child.kill)
            watchdog.start()
            try:
                answer = _asked(child, json.dumps(question | {"size": size}).encode() + b"\n", read())
            finally:
                watchdog.cancel()
                child.kill()
        self.ended = child.returncode
        return answer


def _asked(child: subprocess.Popen[bytes], question: bytes, content: Iterable[bytes]) -> bytes:
    assert child.stdin
    assert child.stdout
    with suppress(BrokenPipeError):  # it has seen enough
        child.stdin.write(question)
        for chunk in content:
            child.stdin.write(chunk)
    with suppress(BrokenPipeError):
        child.stdin.close()
    answer = child.stdout.read(_MAX_ANSWER)
    child.wait()
    return answer
