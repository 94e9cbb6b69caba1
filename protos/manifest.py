"""The release manifest: bytes ↔ value.

A manifest is canonical JSON (UTF-8, keys sorted, no insignificant white space, one newline at the end). It is kept,
hashed, signed and sent as the very bytes that were written: nothing re-serialises a manifest it received. Fields this
version does not know are preserved in `unknown`. The digest of a release is the SHA-256 of those bytes.

    {"schemaVersion": 1, "name": "harbour", "version": "1.0.0", "task": "detection",
     "input": {"name": "image", "height": 320, "width": 320, "fit": "letterbox", "pad": 114},
     "labels": ["boat", …],
     "variants": [{"name": "fp32", "precision": "fp32", "file": "model.onnx"}],
     "files": [{"path": "model.onnx", "sha256": "…64 hex…", "size": 123, "role": "model"}, …]}
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from protos.errors import InvalidManifest, InvalidName
from protos.ids import Digest, ModelName, Version, digest, digest_of, model_name, version

SCHEMA_VERSION = 1
MAX_BYTES = 1 << 20  # a manifest is metadata: a larger one is an attack or a mistake
TASKS = ("detection", "classification", "tensor")
FITS = ("letterbox", "stretch")
ROLES = ("model", "labels", "card", "other")
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_KNOWN = {"schemaVersion", "name", "version", "task", "input", "labels", "variants", "files"}


@dataclass(frozen=True)
class FileEntry:
    """One file of a release: a plain file name, no folders."""

    path: str
    digest: Digest
    size: int  # bytes
    role: str = "other"


@dataclass(frozen=True)
class Variant:
    """One ONNX file of the release; `precision` is fp32, fp16 or int8."""

    name: str
    precision: str
    file: str


@dataclass(frozen=True)
class ImageInput:
    """What the graph takes: uint8 RGB [N, height, width, 3], fitted by the caller."""

    name: str
    height: int
    width: int
    fit: str = "letterbox"
    pad: int = 114


@dataclass(frozen=True)
class Manifest:
    """An immutable version of a model. `input` is None for a plain tensor model."""

    name: ModelName
    version: Version
    task: str
    input: ImageInput | None
    labels: tuple[str, ...]
    variants: tuple[Variant, ...]
    files: tuple[FileEntry, ...]
    unknown: dict[str, Any] = field(default_factory=dict, compare=False)

    def file(self, path: str) -> FileEntry:
        return next(entry for entry in self.files if entry.path == path)

    def variant(self, precision: str | None = None) -> Variant:
        """The variant of that precision, or the first one listed."""
        return next((v for v in self.variants if v.precision == precision), self.variants[0])


def release_digest(content: bytes) -> Digest:
    """The name of a release by content: SHA-256 of its manifest's bytes."""
    return digest_of(content)


def to_bytes(manifest: Manifest) -> bytes:
    """Canonical bytes; `parse(to_bytes(m)) == m`."""
    document: dict[str, Any] = {
        **manifest.unknown,
        "schemaVersion": SCHEMA_VERSION,
        "name": manifest.name,
        "version": manifest.version,
        "task": manifest.task,
        "labels": list(manifest.labels),
        "variants": [vars(v) for v in manifest.variants],
        "files": [
            {"path": f.path, "sha256": f.digest.removeprefix("sha256:"), "size": f.size, "role": f.role}
            for f in manifest.files
        ],
    }
    if manifest.input is not None:
        document["input"] = vars(manifest.input)
    return canonical(document)


def canonical(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def parse(content: bytes) -> Manifest:
    """The manifest in `content`, every rule checked.

    Raises:
        InvalidManifest: with the first rule that is broken.
    """
    document = _document(content)
    try:
        manifest = Manifest(
            name=model_name(_text(document, "name")),
            version=version(_text(document, "version")),
            task=_choice(document, "task", TASKS),
            input=_input(document.get("input")),
            labels=tuple(_strings(document, "labels")),
            variants=tuple(_variant(item) for item in _items(document, "variants")),
            files=tuple(_file(item) for item in _items(document, "files")),
            unknown={key: value for key, value in document.items() if key not in _KNOWN},
        )
    except InvalidName as error:
        raise InvalidManifest(f"manifest: {error}") from error
    _check(manifest)
    return manifest


def _document(content: bytes) -> dict[str, Any]:
    if len(content) > MAX_BYTES:
        raise InvalidManifest(f"manifest: {len(content)} bytes are more than the {MAX_BYTES} allowed")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidManifest("manifest: not UTF-8 JSON; make the release with 'longshore package'") from error
    if not isinstance(document, dict):
        raise InvalidManifest("manifest: the top level must be an object")
    if document.get("schemaVersion") != SCHEMA_VERSION:
        raise InvalidManifest(f"manifest: schemaVersion must be {SCHEMA_VERSION}; update Longshore for newer ones")
    return document


def _check(manifest: Manifest) -> None:
    paths = [entry.path for entry in manifest.files]
    if len(set(paths)) != len(paths):
        raise InvalidManifest("manifest: a file is listed twice")
    if not manifest.variants:
        raise InvalidManifest("manifest: at least one variant is needed")
    for variant in manifest.variants:
        if variant.file not in paths:
            raise InvalidManifest(f"manifest: variant {variant.name!r} names {variant.file!r}, which is not in files")
    if manifest.task != "tensor" and manifest.input is None:
        raise InvalidManifest(f"manifest: task {manifest.task!r} needs an image input")


def _text(item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise InvalidManifest(f"manifest: {key!r} must be a string")
    return value


def _number(item: dict[str, Any], key: str, low: int, high: int) -> int:
    value = item.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidManifest(f"manifest: {key!r} must be a whole number from {low} to {high}")
    return value


def _choice(item: dict[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = _text(item, key)
    if value not in choices:
        raise InvalidManifest(f"manifest: {key} {value!r} must be one of {', '.join(choices)}")
    return value


def _items(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = document.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidManifest(f"manifest: {key!r} must be a list of objects")
    return value


def _strings(document: dict[str, Any], key: str) -> list[str]:
    value = document.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidManifest(f"manifest: {key!r} must be a list of strings")
    return value


def _input(item: object) -> ImageInput | None:
    if item is None:
        return None
    if not isinstance(item, dict):
        raise InvalidManifest("manifest: 'input' must be an object")
    side = 8192  # pixels: beyond any camera model, below an allocation that hurts
    return ImageInput(
        name=_text(item, "name"),
        height=_number(item, "height", 1, side),
        width=_number(item, "width", 1, side),
        fit=_choice(item, "fit", FITS),
        pad=_number(item, "pad", 0, 255),
    )


def _variant(item: dict[str, Any]) -> Variant:
    return Variant(
        name=_text(item, "name"),
        precision=_choice(item, "precision", ("fp32", "fp16", "int8")),
        file=_path(_text(item, "file")),
    )


def _file(item: dict[str, Any]) -> FileEntry:
    return FileEntry(
        path=_path(_text(item, "path")),
        digest=digest("sha256:" + _text(item, "sha256")),
        size=_number(item, "size", 0, 1 << 40),
        role=_choice(item, "role", ROLES),
    )


def _path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise InvalidManifest(f"manifest: file name {text!r} must be plain: letters, digits, '.', '_' and '-'")
    return text
