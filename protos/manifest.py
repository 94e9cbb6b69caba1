"""The release manifest: bytes ↔ value.

A manifest is canonical JSON (UTF-8, keys sorted, no insignificant white space, one newline at the end). It is kept,
hashed, signed and sent as the very bytes that were written: nothing re-serialises a manifest it received. Fields this
version does not know are preserved in `unknown`, wherever they stand. There is one spelling of each manifest, so that
no two readers can take different things from the same bytes: what `to_bytes` would write otherwise is refused. The
digest of a release is the SHA-256 of those bytes.

    {"schemaVersion": 1, "name": "harbour", "version": "1.0.0", "task": "detection",
     "input": {"name": "image", "height": 320, "width": 320, "fit": "letterbox", "pad": 114},
     "labels": ["boat", …],
     "variants": [{"name": "fp32", "precision": "fp32", "file": "model.onnx", "costMicroseconds": 6700}],
     "files": [{"path": "model.onnx", "sha256": "…64 hex…", "size": 123, "role": "model"}, …]}

`judged`, which may be absent, is what the release is worth, and `protos.judged` reads it.

A variant may name a `size`: it is no equal of the first one but a lighter model beside it, of the same classes and the
same input, which a box runs when it has no time for the full one. The first variant names none, and is what readers
that know no sizes run.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from protos import judged
from protos.errors import InvalidManifest, InvalidName, Rejected
from protos.ids import Digest, ModelName, Version, digest, digest_of, hex_of, is_one_line, model_name, version
from protos.judged import Judged
from protos.strict_json import Json, choice, items, number, rest, text

SCHEMA_VERSION = 1
MAX_BYTES = 1 << 20  # a manifest is metadata: a larger one is an attack or a mistake
TASKS = ("detection", "classification", "tensor")
FITS = ("letterbox", "stretch")
ROLES = ("model", "labels", "card", "wheel", "lock", "other")
AGENT = "agent"  # task of a release of the agent itself: wheels, and the lock that pip installs them by
AGENT_MODEL = ModelName("longshore-agent")  # the one name of such releases, and of nothing else
AGENT_LOCK = "requirements.lock"
PRECISIONS = ("fp32", "fp16", "int8")
FULL = "full"  # the size of variants that name none, where others do
MOST_FILES = 64  # of one release
MOST_VARIANTS = 16  # each is looked into, and each is one more thing a box chooses from
MOST_CLASSES = 32_768  # names in `labels`: above the largest public label sets
MAX_CLASS_NAME = 256  # characters
_PACKAGE = "make the release with 'longshore package'"
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_VARIANT = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True)
class FileEntry:
    """One file of a release: a plain file name, no folders."""

    path: str
    digest: Digest
    size: int  # bytes
    role: str = "other"
    unknown: Json = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Measured:
    """What one run of a graph took when the gate tried it: on one thread, at batch 1, on the machine that packaged."""

    peak_bytes: int  # resident, beyond an idle runtime
    microseconds: int  # 0: it could not be run without knowing the sides of its inputs
    unknown: Json = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Variant:
    """One ONNX file of the release."""

    name: str
    precision: str
    file: str
    cost_microseconds: int | None = (
        None  # of one picture on one thread, all variants on one machine: for comparing them
    )
    measured: Measured | None = None
    size: str = ""  # of the model, where it is a lighter one
    unknown: Json = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class ImageInput:
    """What the graph takes: uint8 RGB [N, height, width, 3], fitted by the caller."""

    name: str
    height: int
    width: int
    fit: str = "letterbox"
    pad: int = 114
    unknown: Json = field(default_factory=dict, compare=False)


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
    judged: Judged | None = None  # None: nobody evaluated it
    unknown: Json = field(default_factory=dict, compare=False)

    def file(self, path: str) -> FileEntry:
        return next(entry for entry in self.files if entry.path == path)

    def variant(self, precision: str | None = None) -> Variant:
        """The variant of that precision, or the first one listed."""
        return next((v for v in self.variants if v.precision == precision), self.variants[0])


def release_digest(content: bytes) -> Digest:
    """The name of a release by content: SHA-256 of its manifest's bytes."""
    return digest_of(content)


def to_bytes(manifest: Manifest) -> bytes:
    """Canonical bytes; `parse(to_bytes(m)) == m` and `to_bytes(parse(b)) == b`."""
    document: Json = {
        **manifest.unknown,
        "schemaVersion": SCHEMA_VERSION,
        "name": manifest.name,
        "version": manifest.version,
        "task": manifest.task,
        "labels": list(manifest.labels),
        "variants": [_variant_document(variant) for variant in manifest.variants],
        "files": [_file_document(entry) for entry in manifest.files],
    }
    if manifest.input is not None:
        document["input"] = _input_document(manifest.input)
    if manifest.judged is not None:
        document["judged"] = judged.to_document(manifest.judged)
    spelled = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"{spelled}\n".encode()


def _input_document(image: ImageInput) -> Json:
    return image.unknown | {key: value for key, value in vars(image).items() if key != "unknown"}


def _variant_document(variant: Variant) -> Json:
    known: Json = {"name": variant.name, "precision": variant.precision, "file": variant.file}
    if variant.cost_microseconds is not None:
        known["costMicroseconds"] = variant.cost_microseconds
    if variant.measured is not None:
        known["measured"] = _measured_document(variant.measured)
    if variant.size:
        known["size"] = variant.size
    return variant.unknown | known


def _measured_document(measured: Measured) -> Json:
    return measured.unknown | {"peakBytes": measured.peak_bytes, "microseconds": measured.microseconds}


def _file_document(entry: FileEntry) -> Json:
    known = {"path": entry.path, "sha256": hex_of(entry.digest), "size": entry.size, "role": entry.role}
    return entry.unknown | known


def parse(content: bytes) -> Manifest:
    """The manifest in `content`, every rule checked.

    Raises:
        InvalidManifest: with the first rule that is broken.
    """
    document = _document(content)
    try:
        manifest = _manifest(document)
    except InvalidName as error:
        raise InvalidManifest(f"manifest: {error}") from error
    _check(manifest)
    _check_spelling(manifest, content)
    return manifest


def check_counts(manifest: Manifest) -> None:
    """Limits that are asked when a release is made: one that exists stays readable, whatever they become.

    Raises:
        Rejected: with the first that is passed.
    """
    for what, found, most in (
        ("files", len(manifest.files), MOST_FILES),
        ("variants", len(manifest.variants), MOST_VARIANTS),
        ("labels", len(manifest.labels), MOST_CLASSES),
        ("characters in a label", max(map(len, manifest.labels), default=0), MAX_CLASS_NAME),
    ):
        if found > most:
            raise Rejected(f"manifest: {found} {what} are more than the {most} allowed; make the release smaller")


def _document(content: bytes) -> Json:
    if len(content) > MAX_BYTES:
        raise InvalidManifest(f"manifest: {len(content)} bytes are more than the {MAX_BYTES} allowed")
    try:
        document = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidManifest(f"manifest: not UTF-8 JSON; {_PACKAGE}") from error
    if not isinstance(document, dict):
        raise InvalidManifest("manifest: the top level must be an object")
    if document.get("schemaVersion") != SCHEMA_VERSION:
        raise InvalidManifest(f"manifest: schemaVersion must be {SCHEMA_VERSION}; update Longshore for newer ones")
    return document


def _manifest(document: Json) -> Manifest:
    return Manifest(
        name=model_name(text(document, "name")),
        version=version(text(document, "version")),
        task=choice(document, "task", (*TASKS, AGENT)),
        input=_input(document.get("input")),
        labels=_labels(document.get("labels")),
        variants=tuple(_variant(item) for item in items(document, "variants")),
        files=tuple(_file(item) for item in items(document, "files")),
        judged=judged.parse(document["judged"]) if "judged" in document else None,
        unknown=rest(document, "schemaVersion name version task input labels variants files judged"),
    )


def _check_spelling(manifest: Manifest, content: bytes) -> None:
    try:
        canonical = to_bytes(manifest)
    except (ValueError, RecursionError):  # half a surrogate pair, NaN, or nesting that can be read and not written
        canonical = b""
    if canonical != content:
        raise InvalidManifest(f"manifest: not canonical JSON (keys sorted, none twice, no spaces); {_PACKAGE}")


def _check(manifest: Manifest) -> None:
    paths = [entry.path for entry in manifest.files]
    if len(set(paths)) != len(paths):
        raise InvalidManifest("manifest: a file is listed twice")
    if (manifest.task == AGENT) != (manifest.name == AGENT_MODEL):
        raise InvalidManifest(f"manifest: task {AGENT!r} and the name {AGENT_MODEL!r} belong together")
    if manifest.task == AGENT:
        _check_agent(manifest, paths)
    else:
        _check_model(manifest, paths)


def _check_model(manifest: Manifest, paths: list[str]) -> None:
    if not manifest.variants:
        raise InvalidManifest("manifest: at least one variant is needed")
    if len({variant.name for variant in manifest.variants}) != len(manifest.variants):
        raise InvalidManifest("manifest: two variants have the same name")
    for variant in manifest.variants:
        if variant.file not in paths:
            raise InvalidManifest(f"manifest: variant {variant.name!r} names {variant.file!r}, which is not in files")
    if manifest.variants[0].size:
        raise InvalidManifest("manifest: the first variant must be of the full size, which is none by name")
    _check_judged(manifest)
    if manifest.task != "tensor" and manifest.input is None:
        raise InvalidManifest(f"manifest: task {manifest.task!r} needs an image input")
    if manifest.task != "tensor" and not manifest.labels:
        raise InvalidManifest(f"manifest: task {manifest.task!r} needs the names of its classes in 'labels'")


def _check_judged(manifest: Manifest) -> None:
    known = {variant.name for variant in manifest.variants}
    for each in manifest.judged.variants if manifest.judged else ():
        if each.name not in known:
            raise InvalidManifest(f"manifest: 'judged' tells of variant {each.name!r}, which is not in variants")


def _check_agent(manifest: Manifest, paths: list[str]) -> None:
    if manifest.variants or manifest.labels or manifest.input is not None or manifest.judged is not None:
        raise InvalidManifest("manifest: a release of the agent has no variants, labels or input, and is not judged")
    if AGENT_LOCK not in paths:
        raise InvalidManifest(f"manifest: a release of the agent needs {AGENT_LOCK}; make it with 'longshore agent'")


def _labels(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidManifest("manifest: 'labels' must be a list of strings")
    return tuple(_shown(item, "label") for item in value)


def _shown(name: str, what: str) -> str:
    if not name or not is_one_line(name):
        raise InvalidManifest(f"manifest: {what} {name!r} must be at least one character, and no control character")
    return name


def _input(item: object) -> ImageInput | None:
    if item is None:
        return None
    if not isinstance(item, dict):
        raise InvalidManifest("manifest: 'input' must be an object")
    side = 8192  # pixels: beyond any camera model, below an allocation that hurts
    return ImageInput(
        name=_shown(text(item, "name"), "input name"),
        height=number(item, "height", 1, side),
        width=number(item, "width", 1, side),
        fit=choice(item, "fit", FITS),
        pad=number(item, "pad", 0, 255),
        unknown=rest(item, "name height width fit pad"),
    )


def _variant(item: Json) -> Variant:
    name = text(item, "name")
    if not _VARIANT.fullmatch(name):
        raise InvalidManifest(f"manifest: variant name {name!r} must be 1 to 63 of a-z, 0-9, '.', '_' and '-'")
    return Variant(
        name=name,
        precision=choice(item, "precision", PRECISIONS),
        file=_path(text(item, "file")),
        cost_microseconds=number(item, "costMicroseconds", 1, 1 << 40) if "costMicroseconds" in item else None,
        measured=_measured(item["measured"]) if "measured" in item else None,
        size=_size(text(item, "size")) if "size" in item else "",
        unknown=rest(item, "name precision file costMicroseconds measured size"),
    )


def _size(name: str) -> str:
    if not _VARIANT.fullmatch(name) or name == FULL:
        raise InvalidManifest(
            f"manifest: size {name!r} must be 1 to 63 of a-z, 0-9, '.', '_' and '-', and not {FULL!r}, which is what "
            "variants without one are"
        )
    return name


def _measured(item: object) -> Measured:
    if not isinstance(item, dict):
        raise InvalidManifest("manifest: 'measured' must be an object")
    return Measured(
        peak_bytes=number(item, "peakBytes", 0, 1 << 40),
        microseconds=number(item, "microseconds", 0, 1 << 40),
        unknown=rest(item, "peakBytes microseconds"),
    )


def _file(item: Json) -> FileEntry:
    return FileEntry(
        path=_path(text(item, "path")),
        digest=digest("sha256:" + text(item, "sha256")),
        size=number(item, "size", 0, 1 << 40),
        role=choice(item, "role", ROLES),
        unknown=rest(item, "path sha256 size role"),
    )


def _path(name: str) -> str:
    if not _PATH.fullmatch(name):
        raise InvalidManifest(f"manifest: file name {name!r} must be plain: letters, digits, '.', '_' and '-'")
    return name
