"""Make a release folder of one ONNX file: manifest, model, labels, card.

A graph in our form, and every graph of the task `tensor`, is read without its weights (`onnx_outline`) and its bytes
are copied as they are, so that no file is held in memory. Any other graph is brought into that form by
`controlplane.packaging`, which holds it whole. Before anything here reads a file it has passed the rules of the gate,
in a process of the gate; what is made of it passes them too, is tried there, and its manifest says what that took.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from controlplane.cli.onnx_outline import outline
from controlplane.gate.runner import Gate, Read, Use
from controlplane.packaging import card, explain, folding, form
from controlplane.packaging.form import Model
from controlplane.packaging.pixels import IMAGE
from controlplane.packaging.seen import are_names, counted, see
from controlplane.packaging.wish import Wish as GraphWish
from controlplane.packaging.wish import check_heard
from protos import ids
from protos import manifest as manifests
from protos.errors import Rejected
from protos.manifest import PRECISIONS, FileEntry, ImageInput, Manifest, Measured, Variant, to_bytes

MODEL, LABELS, CARD, MANIFEST = "model.onnx", "labels.txt", "card.md", "manifest.json"
_ROLES = {MODEL: "model", LABELS: "labels", CARD: "card"}
_MAX_BYTES = (1 << 31) - 1  # protobuf reads no larger message
_PIECE = 1 << 20  # bytes


@dataclass(frozen=True)
class Wish:
    """Of a release; `graph` is what is wanted of its graph."""

    name: str
    version: str
    graph: GraphWish = field(default_factory=GraphWish)
    precision: str | None = None  # None: as the graph shows
    card: str = ""
    gate: Gate = field(default_factory=Gate)


@dataclass(frozen=True)
class Made:
    manifest: Manifest
    notes: tuple[str, ...]  # what was recognised and done to the graph


@dataclass(frozen=True)
class _Graph:
    """What becomes of a model file: its place in the manifest, and how to write it."""

    task: str
    image: ImageInput | None
    labels: tuple[str, ...]
    precision: str
    write: Callable[[Path], object]
    plan: folding.Plan | None = None
    notes: tuple[str, ...] = ()


def package(model: Path, wish: Wish, target: Path) -> Made:
    """Write the release folder `target`, whole or not at all. Raises Rejected."""
    ids.model_name(wish.name), ids.version(wish.version)  # before the file is read, which may take a while
    check_free(target)
    check_harmless(model, wish.gate)
    outlined = form.parsed(_outline(model))
    graph = _copied(model, outlined, wish) if _is_kept(outlined, wish.graph) else _folded(model, wish)
    planned = _manifest(graph, wish)
    with _written(target) as folder:
        graph.write(folder / MODEL)
        figures = measured(folder / MODEL, wish.gate, Use(graph.task, graph.image))
        planned = replace(planned, variants=(replace(planned.variants[0], measured=figures),))
        (folder / CARD).write_text(_card(model, wish, graph.plan), encoding="utf-8")
        if graph.labels:
            (folder / LABELS).write_text("\n".join(graph.labels) + "\n", encoding="utf-8")
        made = replace(planned, files=tuple(_entry(path) for path in sorted(folder.iterdir())))
        content = to_bytes(made)
        manifests.check_counts(manifests.parse(content))  # what no registry would take is refused here
        (folder / MANIFEST).write_bytes(content)
    return Made(made, graph.notes)


def check_harmless(model: Path, gate: Gate) -> None:
    """Raises Rejected where the gate's rules refuse the file, Retryable."""
    gate.check(model.name, reader(model), _size(model))


def reader(path: Path) -> Read:
    """The file from its beginning, each time it is called, in pieces."""

    def pieces() -> Iterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    return pieces


def measured(model: Path, gate: Gate, use: Use) -> Measured:
    """What a run of this graph took, which passed the gate. Raises Rejected, Retryable."""
    return gate.examine(model.name, reader(model), _size(model), use)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise Rejected(f"cannot read {path}: {error.strerror}") from error


def inspect(model: Path, wish: Wish, said: Sequence[str] = ()) -> list[str]:
    """Lines on what a file holds and how to package it, with the words `said` of files. Raises Rejected."""
    check_harmless(model, wish.gate)
    whole = form.parsed(_content(model))
    own = form.task_of(seen := form.signature(whole), form.image_input(seen, "letterbox"))
    if own != "tensor":
        return [f"{model.name}: a {own} model in Longshore's own form, which is packaged as it is."]
    named = explain.Named(str(model), wish.name, wish.version, said)
    return explain.inspected(whole, model.stat().st_size, wish.graph, named)


def _is_kept(outlined: Model, wish: GraphWish) -> bool:
    """Whether the file's bytes are taken as they are."""
    seen = form.signature(outlined)
    own = form.task_of(seen, form.image_input(seen, "letterbox"))
    if wish.task == "tensor":
        return True
    if wish.head:
        return False
    if own != "tensor" or wish.task:
        return wish.task in (None, own)
    return not (wish.labels or see(outlined).labels)  # names of classes are for pictures


def _copied(path: Path, outlined: Model, wish: Wish) -> _Graph:
    """Raises Rejected."""
    seen, labels = form.signature(outlined), wish.graph.labels
    image = form.image_input(seen, wish.graph.fit or "letterbox")
    task = wish.graph.task or form.task_of(seen, image)
    if task != "tensor" and image and image.name != IMAGE:
        raise Rejected(
            f"the graph is in Longshore's own form but for its input's name, {image.name!r}; boxes give it {IMAGE!r}: "
            f"export it anew with input_names=[{IMAGE!r}]"
        )
    check_heard(wish.graph, "a graph that is packaged as it is", heard=("fit",) if image else ())
    if task == "classification" and labels and form.classes_of(seen) not in (0, len(labels)):
        given = counted(form.classes_of(seen))
        raise Rejected(f"the classifier gives {given}, but {are_names(len(labels))}; --labels wants one a line")
    if task != "tensor" and not labels:
        raise Rejected(f"a {task} model needs the names of its classes: add --labels FILE, one name a line")
    precision = see(outlined).precision
    notes = folding.hint(outlined) if wish.graph.task is None and task == "tensor" else ()
    return _Graph(
        task, image if task != "tensor" else None, labels, precision, lambda to: shutil.copyfile(path, to), notes=notes
    )


def _folded(path: Path, wish: Wish) -> _Graph:
    """Raises Rejected."""
    source = folding.opened(form.parsed(_content(path)))
    decided = folding.plan(source, wish.graph)
    model = folding.fold(source, decided)
    frame = decided.frame
    return _Graph(
        task=decided.task,
        image=ImageInput(IMAGE, frame.height, frame.width, decided.fit),
        labels=decided.labels,
        precision=decided.precision,
        write=lambda to: to.write_bytes(_serialised(model)),
        plan=decided,
        notes=decided.notes,
    )


def _serialised(model: Model) -> bytes:
    """Raises Rejected."""
    if model.ByteSize() > _MAX_BYTES:
        raise Rejected("the packaged model is larger than 2 GB, which no runtime reads; export it in float16")
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise Rejected(f"{path} is larger than 2 GB, which no ONNX file can be; export a smaller model")
        return path.read_bytes()
    except OSError as error:
        raise Rejected(f"cannot read {path}: {error.strerror}") from error


def _manifest(graph: _Graph, wish: Wish) -> Manifest:
    """Without its files. Raises Rejected (also InvalidName)."""
    precision = wish.precision or graph.precision
    if precision not in PRECISIONS:
        raise Rejected(f"--precision must be one of {', '.join(PRECISIONS)}")
    return Manifest(
        name=ids.model_name(wish.name),
        version=ids.version(wish.version),
        task=graph.task,
        input=graph.image,
        labels=graph.labels,
        variants=(Variant(precision, precision, MODEL),),
        files=(),
    )


def _card(path: Path, wish: Wish, decided: folding.Plan | None) -> str:
    with path.open("rb") as file:
        origin = card.Origin(path.name, hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)
    text = wish.card or f"# {wish.name} {wish.version}\n\n{card.BLANK}\n"
    return f"{text.rstrip()}\n\n{card.section(origin, decided)}"


def _outline(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return outline(file, path.stat().st_size)
    except OSError as error:
        raise Rejected(f"cannot read {path}: {error.strerror}") from error


def _entry(path: Path) -> FileEntry:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(path.name, ids.digest(f"sha256:{digest}"), path.stat().st_size, _ROLES[path.name])


def check_free(target: Path) -> None:
    """Raises Rejected where no folder can be made: before work of minutes, and again after it."""
    if not target.name:
        raise Rejected(f"-o {target} names no new folder; say for example -o {target / 'people-1.0.0'}")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Rejected(f"{target} is there already and not empty; name another folder with -o")


@contextmanager
def _written(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` when that went well."""
    check_free(target)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.mkdir(parents=True)
        yield beside
        beside.replace(target)
    except OSError as error:
        raise Rejected(f"cannot write {target}: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def labels_in(text: str, where: Path) -> tuple[str, ...]:
    """Class names of the file `where`, one a line, in the order of the model's class numbers.

    Raises Rejected for a name that no registry would take, with its line.
    """
    named = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, name in named:
        if not ids.is_one_line(name):
            raise Rejected(f"{where}, line {number}: a name holds no control character; save it as plain text")
        if len(name) > manifests.MAX_CLASS_NAME:
            most = manifests.MAX_CLASS_NAME
            raise Rejected(f"{where}, line {number}: a name has {len(name)} characters, at most {most} are taken")
    if not named:
        raise Rejected(f"{where} holds no names; it wants one a line, in the order of training")
    if len(named) > manifests.MOST_CLASSES:
        raise Rejected(f"{where} holds {len(named)} names, and a release has at most {manifests.MOST_CLASSES}")
    return tuple(name for _, name in named)
