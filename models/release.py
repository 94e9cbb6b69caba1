"""A release folder: files by name, and the manifest that names them by content.

Rules that hold here: no torch, no date, no path: the same files and facts give the same bytes.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from protos.ids import digest_of, model_name, version
from protos.judged import Judged
from protos.manifest import FileEntry, ImageInput, Manifest, Variant, to_bytes

ROLES = {"card.md": "card", "labels.txt": "labels", "model.onnx": "model"}


@dataclass(frozen=True)
class Facts:
    """What a manifest says beside the files."""

    name: str
    version: str
    task: str
    size: int  # pixels, height and width of the input
    labels: tuple[str, ...]
    judged: Judged | None = None  # None: nobody evaluated it


def release_files(facts: Facts, model: bytes, card: str) -> dict[str, bytes]:
    """All files of a release by name.

    Raises:
        InvalidName: name or version breaks its rule.
    """
    files = {"card.md": card.encode(), "labels.txt": ("\n".join(facts.labels) + "\n").encode(), "model.onnx": model}
    return {**files, "manifest.json": _manifest(facts, files)}


def _manifest(facts: Facts, files: Mapping[str, bytes]) -> bytes:
    named = sorted(files.items())
    entries = (FileEntry(name, digest_of(content), len(content), ROLES[name]) for name, content in named)
    return to_bytes(
        Manifest(
            name=model_name(facts.name),
            version=version(facts.version),
            task=facts.task,
            input=ImageInput("image", facts.size, facts.size),
            labels=facts.labels,
            variants=(Variant("fp32", "fp32", "model.onnx"),),
            files=tuple(entries),
            judged=facts.judged,
        )
    )


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
