"""`longshore package --inspect`: what is seen, what would be done, and the command that does it, in plain sentences."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from onnx import ModelProto

from controlplane.packaging import opsets
from controlplane.packaging.folding import Opened, Plan, opened, plan
from controlplane.packaging.recognition import HEADS
from controlplane.packaging.seen import counted
from controlplane.packaging.wish import FLAGS, Wish
from protos.errors import Rejected

_FEW = 6  # class names shown


@dataclass(frozen=True)
class Named:
    """What the command is to say."""

    file: str
    name: str
    version: str
    said: Sequence[str] = ()  # flags of a release rather than of its graph, such as --labels FILE, word by word


def inspected(model: ModelProto, size: int, wish: Wish, named: Named) -> list[str]:
    """Of a model of `size` bytes, which this takes over. Raises Rejected."""
    opset = opsets.opset(model)
    source = opened(model)
    maker = " ".join(filter(None, (source.model.producer_name, source.model.producer_version)))
    made = f"made by {maker}" if maker else "maker unknown"
    return [
        f"{named.file}: {_bytes(size)}, opset {opset}, {source.seen.precision}, {made}",
        *(f"  takes  {each.sentence}" for each in source.seen.inputs),
        *(f"  gives  {each.sentence}" for each in source.seen.outputs),
        "",
        *_explained(source, wish, named),
    ]


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


def _explained(source: Opened, wish: Wish, named: Named) -> list[str]:
    try:
        decided = plan(source, wish)
    except Rejected as error:
        return [f"As it is, it cannot be packaged for cameras: {error}", "", *_as_tensor(named)]
    notes = [f"  - {note}" for note in decided.notes]
    return [
        *(_family(decided), _names(decided), _pictures(decided), *_limits(decided), *notes),
        "",
        "To package it:",
        f"  {command(decided, wish, named)}",
    ]


def _family(decided: Plan) -> str:
    if not decided.head:
        return f"This is a classifier of {counted(decided.classes) if decided.classes else 'yes or no'}."
    count = f" of {counted(decided.classes)}" if decided.classes else ""
    return f"This is a detector{count} with the {decided.head} head ({HEADS[decided.head].covers})."


def _names(decided: Plan) -> str:
    if not decided.labels:
        return "Names of its classes are not in the file: they come from --labels FILE, one a line."
    few = ", ".join(decided.labels[:_FEW]) + (", …" if len(decided.labels) > _FEW else "")
    return f"Names of its classes: {few}"


def _pictures(decided: Plan) -> str:
    frame = decided.frame
    how = {"letterbox": "fitted with bars (letterbox)", "stretch": "stretched"}[decided.fit]
    return f"Pictures: {frame.width}×{frame.height}, {how}; pixels {decided.pixels.sentence}."


def _limits(decided: Plan) -> list[str]:
    if not decided.head:
        return []
    limits = decided.limits
    return [f"Kept: the best {limits.top_k} with a score above {limits.score:g}; overlap (IoU) up to {limits.iou:g}."]


def command(decided: Plan, wish: Wish, named: Named) -> str:
    words = [
        "longshore",
        "package",
        named.file,
        "--name",
        named.name,
        "--version",
        named.version,
        "--task",
        decided.task,
    ]
    if decided.head:
        words += ["--head", decided.head]
    words += [word for name, flag in FLAGS.items() if name != "head" for word in _said(flag, name, wish)]
    words += named.said
    labels = "" if decided.labels else " --labels labels.txt"
    return f"{shlex.join(words)}{labels} -o {shlex.quote(f'{named.name}-{named.version}')}"


def _said(flag: str, name: str, wish: Wish) -> tuple[str, ...]:
    """What was said beyond what goes without saying."""
    value = getattr(wish, name)
    if value == getattr(Wish(), name):
        return ()
    if name == "size":
        return (flag, f"{value[1]}x{value[0]}")
    return (flag, ",".join(f"{each:g}" for each in value) if isinstance(value, tuple) else str(value))


def _as_tensor(named: Named) -> list[str]:
    words = ["longshore", "package", named.file, "--name", named.name, "--version", named.version, "--task", "tensor"]
    return [
        "To serve its outputs as they are, to applications beside the box:",
        f"  {shlex.join(words)} -o {shlex.quote(f'{named.name}-{named.version}')}",
    ]
