"""Tensors of a request that lie in its caller's own memory: what goes to the worker, and what the worker does with it.

The caller's descriptors travel beside the request and are closed with it. He may shrink his memory at any moment, and
whoever had mapped it would be killed by the next look; so the worker reads inputs into memory of its own, writes
outputs with calls, and looks again each time: what has gone wrong is the end of his request alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.inference.errors import BadInput
from agent.inference.messages import Infer, Inferred, Part, TensorIn, TensorOut
from agent.inference.requests import LABELS
from agent.ports import Place, Tensor
from agent.workers.channel import MAX_DESCRIPTORS, close_all

Large = Sequence[memoryview]  # outputs that go beside the message
CLASSES = "classes"


@dataclass(frozen=True)
class Outside:
    """What of a request lies elsewhere: descriptors, and which part of which is which tensor."""

    files: Sequence[int] = ()
    fetch: Sequence[Part] = ()
    put: Sequence[Part] = ()


NOTHING = Outside()


# --- the agent's side -------------------------------------------------------------------------------------------------


def outside(inputs: Sequence[Tensor], into: Mapping[str, Place] | None) -> Outside:
    """Raises BadInput for tensors in more memories than one message can carry."""
    given = [(tensor.name, tensor.place) for tensor in inputs if tensor.place is not None]
    if not given and not into:
        return NOTHING
    wanted = list((into or {}).items())
    files = list(dict.fromkeys(place.fd for _, place in (*given, *wanted)))
    if len(files) > MAX_DESCRIPTORS:
        raise BadInput(f"tensors lie in {len(files)} shared memory regions; use at most {MAX_DESCRIPTORS} per request")
    numbers = {fd: number for number, fd in enumerate(files)}

    def parts(named: Sequence[tuple[str, Place]]) -> list[Part]:
        return [Part(name, numbers[place.fd], place.offset, place.nbytes) for name, place in named]

    return Outside(files, parts(given), parts(wanted))


def check_picture(asked: Sequence[str] | None, into: Mapping[str, Place]) -> None:
    """Names of classes are made from `classes` where the answer is made. Raises BadInput when they cannot be."""
    if LABELS in into or (CLASSES in into and LABELS in (asked or ())):
        raise BadInput("output 'labels' is made from 'classes' in the answer; ask for both without a region")


# --- the worker's side ------------------------------------------------------------------------------------------------


def run(message: Infer, fds: Sequence[int], infer: Callable[[Infer], tuple[Inferred, Large]]) -> tuple[Inferred, Large]:
    """`infer` between reading and writing the caller's memory; takes the descriptors. Raises BadInput."""
    try:
        read = {part.name: content_of(part, fds[part.file]) for part in message.fetch}
        message.inputs = [_here(item, read) for item in message.inputs]
        answer, large = infer(message)
        return _put(answer, large, message.put, fds) if message.put else (answer, large)
    finally:
        close_all(fds)


def _here(item: TensorIn, read: Mapping[str, bytes]) -> TensorIn:
    content = read.get(item.name)
    return item if content is None else TensorIn(item.name, item.datatype, item.shape, len(content), inline=content)


def content_of(part: Part, fd: int) -> bytes:
    """Raises BadInput where its owner has made his memory smaller."""
    try:
        content = os.pread(fd, part.nbytes, part.offset)
    except OSError as error:
        raise BadInput(f"input {part.name!r}: its shared memory cannot be read: {error.strerror}") from error
    if len(content) < part.nbytes:
        raise BadInput(f"input {part.name!r}: its shared memory was made smaller; register the region again")
    return content


def _put(answer: Inferred, large: Large, parts: Sequence[Part], fds: Sequence[int]) -> tuple[Inferred, Large]:
    """The answer without the outputs that are written into their parts."""
    targets = {part.name: part for part in parts}
    beside, kept = iter(large), []
    for number, out in enumerate(answer.outputs):
        content = memoryview(out.inline) if out.inline is not None else next(beside)
        part = targets.get(out.name)
        if part is not None:
            _write(part, fds[part.file], content)
            answer.outputs[number] = TensorOut(out.name, out.datatype, out.shape, out.nbytes, placed=True)
        elif out.inline is None:
            kept.append(content)
    return answer, kept


def _write(part: Part, fd: int, content: memoryview) -> None:
    if len(content) > part.nbytes:
        raise BadInput(f"output {part.name!r} is {len(content)} bytes, but its shared memory holds {part.nbytes}")
    try:
        if os.fstat(fd).st_size < part.offset + len(content):
            raise BadInput(f"output {part.name!r}: its shared memory was made smaller; register the region again")
        at = part.offset
        while content:
            written = os.pwrite(fd, content, at)
            content, at = content[written:], at + written
    except OSError as error:
        raise BadInput(f"output {part.name!r}: its shared memory cannot be written: {error.strerror}") from error
