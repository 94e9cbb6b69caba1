"""The compiler's process: one graph in, what its provider makes of it out; then it ends.

    python -m agent.inference.compiler_worker      (started by agent.inference.compiler)

Like an engine's worker it stands in a deleted directory and gives up its rights before it looks at the graph, which it
gets as a memory descriptor. TensorRT writes what it made into a file, by path: that path leads to memory, and goes back
as another descriptor. It is loaded once before, as an engine's worker would. Compiling takes minutes of all cores: it
runs behind whatever else the box does.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable, Mapping

from agent.inference import compiler_messages as messages
from agent.inference import confinement
from agent.inference.errors import BadModel
from agent.inference.session import Session, compiled
from agent.ports import ModelSignature, TensorSpec
from agent.workers import memory
from agent.workers.channel import WorkerChannel
from agent.workers.standing import leave_the_file_system
from protos.errors import LongshoreError, Retryable

NICENESS = 10
Compiling = Callable[[bytes, Mapping[str, str], str], ModelSignature]  # see `session.compiled`


def run(compiling: Compiling) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    channel: WorkerChannel[messages.Compile] = WorkerChannel.from_environment(messages.Compile)
    leave_the_file_system()
    os.nice(NICENESS)
    with contextlib.suppress(EOFError):  # the agent is gone, and with it the reason to be here
        _serve(channel, compiling)


def _serve(channel: WorkerChannel[messages.Compile], compiling: Compiling) -> None:
    """The one graph. Raises EOFError: the agent is gone."""
    received = channel.receive()
    assert received is not None
    asked, (fd,) = received
    channel.send(confinement.confine_compiler())
    made = memory.sealable()
    try:
        size = _made(memory.read(fd), asked, made, compiling)
    except (LongshoreError, MemoryError) as error:
        lasting = not isinstance(error, (Retryable, MemoryError))
        channel.send(messages.Refused(str(error) or "the box has not enough memory to compile the model", lasting))
        return
    channel.send(messages.Compiled(size), [made])


def _made(model: bytes, asked: messages.Compile, target: int, compiling: Compiling) -> int:
    """Bytes that lie behind `target` now. Raises what `compiling` does, and BadModel for what is no whole graph."""
    whole = compiling(model, asked.options, f"/proc/self/fd/{target}")
    content = memory.read(os.dup(target))
    if not content:
        raise BadModel("it was not compiled: its shapes are free")
    part = Session(content, asked.provider).signature
    if _named(part.inputs) != _named(whole.inputs) or _named(part.outputs) != _named(whole.outputs):
        raise BadModel("only a part of it was compiled")
    return len(content)


def _named(specs: tuple[TensorSpec, ...]) -> dict[str, TensorSpec]:
    return {spec.name: spec for spec in specs}


if __name__ == "__main__":
    run(compiled)
