"""Make a release folder of one ONNX file: manifest, model, labels, card. The model's bytes are taken as they are.

No file is held in memory: the graph is read without its weights (`onnx_outline`), and the model is copied in pieces.
The task is read off the graph: an image input `uint8[N,H,W,3]` with outputs boxes, scores and classes is a detection
model, with scores alone a classification model, and everything else a tensor model. Bringing other graphs into that
form (casts, box decoding, NMS) is not done here yet.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from controlplane.cli.onnx_outline import outline
from protos import ids
from protos.errors import Rejected
from protos.manifest import FileEntry, ImageInput, Manifest, Variant, to_bytes

MODEL, LABELS, CARD, MANIFEST = "model.onnx", "labels.txt", "card.md", "manifest.json"
_ROLES = {MODEL: "model", LABELS: "labels", CARD: "card"}
_UINT8 = 2  # onnx.TensorProto.UINT8
_IMAGE_RANK = 4
_CHANNELS = 3
_PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class Signature:
    """What a graph takes and gives: name → (element type, shape; 0 for a free dimension)."""

    inputs: dict[str, tuple[int, tuple[int, ...]]]
    outputs: dict[str, tuple[int, tuple[int, ...]]]


@dataclass(frozen=True)
class Wish:
    name: str
    version: str
    labels: tuple[str, ...] = ()
    precision: str = "fp32"
    fit: str = "letterbox"
    card: str = ""


def signature(path: Path) -> Signature:
    """Raises Rejected when the file is no self-contained ONNX model."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(_outline(path))
    except (DecodeError, ValueError) as error:
        raise Rejected("this is no ONNX file, or a part of it is missing; export the model again") from error
    weights = {tensor.name for tensor in model.graph.initializer}
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise Rejected("the model keeps weights in other files; export it with all of them inside")
    inputs = {value.name: _tensor(value) for value in model.graph.input if value.name not in weights}
    return Signature(inputs, {value.name: _tensor(value) for value in model.graph.output})


def _outline(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return outline(file, path.stat().st_size)
    except OSError as error:
        raise Rejected(f"cannot read {path}: {error.strerror}") from error


def _tensor(value: object) -> tuple[int, tuple[int, ...]]:
    tensor = value.type.tensor_type  # type: ignore[attr-defined]  # onnx has no types
    return tensor.elem_type, tuple(dim.dim_value for dim in tensor.shape.dim)


def image_input(graph: Signature, fit: str) -> ImageInput | None:
    """The picture a graph takes, or None when its input is no picture in our form."""
    if len(graph.inputs) != 1:
        return None
    name, (element, shape) = next(iter(graph.inputs.items()))
    if element != _UINT8 or len(shape) != _IMAGE_RANK or shape[3] != _CHANNELS or 0 in shape[1:3]:
        return None
    return ImageInput(name, shape[1], shape[2], fit)


def task_of(graph: Signature, image: ImageInput | None) -> str:
    if image is not None and {"boxes", "scores", "classes"} <= set(graph.outputs):
        return "detection"
    return "classification" if image is not None and "scores" in graph.outputs else "tensor"


def manifest_of(graph: Signature, wish: Wish) -> Manifest:
    """Without its files. Raises Rejected (also InvalidName) when the wish does not fit the graph."""
    image = image_input(graph, wish.fit)
    task = task_of(graph, image)
    if task != "tensor" and not wish.labels:
        raise Rejected(f"a {task} model needs the names of its classes: add --labels FILE, one name a line")
    if wish.precision not in _PRECISIONS:
        raise Rejected(f"--precision must be one of {', '.join(_PRECISIONS)}")
    return Manifest(
        name=ids.model_name(wish.name),
        version=ids.version(wish.version),
        task=task,
        input=image if task != "tensor" else None,
        labels=wish.labels,
        variants=(Variant(wish.precision, wish.precision, MODEL),),
        files=(),
    )


def package(model: Path, wish: Wish, target: Path) -> Manifest:
    """Write the release folder `target`, whole or not at all. Raises Rejected."""
    planned = manifest_of(signature(model), wish)
    with _written(target) as folder:
        shutil.copyfile(model, folder / MODEL)
        (folder / CARD).write_text(wish.card or _card(wish), encoding="utf-8")
        if wish.labels:
            (folder / LABELS).write_text("\n".join(wish.labels) + "\n", encoding="utf-8")
        made = replace(planned, files=tuple(_entry(path) for path in sorted(folder.iterdir())))
        (folder / MANIFEST).write_bytes(to_bytes(made))
    return made


def _card(wish: Wish) -> str:
    return (
        f"# {wish.name} {wish.version}\n\nWhat it was trained on, how good it is, and where it fails: write it here.\n"
    )


def _entry(path: Path) -> FileEntry:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(path.name, ids.digest(f"sha256:{digest}"), path.stat().st_size, _ROLES[path.name])


@contextmanager
def _written(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` when that went well."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Rejected(f"{target} is there already and not empty; name another folder with -o")
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.mkdir(parents=True)
        yield beside
        beside.replace(target)
    except OSError as error:
        raise Rejected(f"cannot write {target}: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def labels_in(lines: Sequence[str]) -> tuple[str, ...]:
    """Class names, one a line, in the order of the model's class numbers."""
    return tuple(line.strip() for line in lines if line.strip())
