"""A release folder with one more variant: read whole, written whole or not at all. fp32 stays first in the list.

Every file is proven against the manifest before it is used. The new release is another one: its manifest, and so its
digest, differ, and once the old one was pushed it needs a version of its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

from controlplane.quantizing.domain import GATE, speed_sentence
from controlplane.quantizing.service import Int8
from protos import ids
from protos.errors import Rejected
from protos.manifest import FileEntry, Manifest, Variant, parse, to_bytes

MANIFEST, CARD, MODEL = "manifest.json", "card.md", "model-int8.onnx"


def read(folder: Path) -> Manifest:
    """Raises Rejected for what is no whole release, or none that int8 can be made of."""
    try:
        manifest = parse((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise Rejected(f"{folder} is no release folder; make one with 'longshore package'") from error
    for entry in manifest.files:
        if _entry(folder / entry.path, entry.role) != replace(entry, unknown={}):
            raise Rejected(f"{folder / entry.path} is not the file its manifest names; package the release again")
    if manifest.task == "tensor" or manifest.input is None:
        raise Rejected(
            "a tensor release takes no pictures that int8 could be calibrated on; quantise it where it is trained"
        )
    if any(variant.precision == "int8" for variant in manifest.variants):
        raise Rejected(f"{folder} has an int8 variant already; start from the release without it")
    return manifest


def fp32_of(manifest: Manifest) -> Variant:
    """Raises Rejected."""
    found = next((variant for variant in manifest.variants if variant.precision == "fp32"), None)
    if found is None:
        raise Rejected(
            f"{manifest.name} {manifest.version} has no fp32 variant, and int8 is made of one; package that first"
        )
    return found


def write(source: Path, manifest: Manifest, model: Path, int8: Int8, target: Path) -> Manifest:
    """The folder `target` with the files of `source` and the int8 graph `model`. Raises Rejected."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Rejected(f"{target} is there already and not empty; name another folder with -o")
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.mkdir(parents=True)
        for entry in manifest.files:
            shutil.copyfile(source / entry.path, beside / entry.path)
        shutil.copyfile(model, beside / MODEL)
        card = next((entry.path for entry in manifest.files if entry.role == "card"), CARD)
        before = (beside / card).read_text(encoding="utf-8") if (beside / card).exists() else f"# {manifest.name}\n"
        (beside / card).write_text(f"{before.rstrip()}\n\n{card_section(int8)}", encoding="utf-8")
        made = _made(beside, manifest, card, int8)
        (beside / MANIFEST).write_bytes(to_bytes(made))
        beside.replace(target)
    except OSError as error:
        raise Rejected(f"cannot write {target}: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return made


def card_section(int8: Int8) -> str:
    """What the card says about the variant. No number is typed by hand."""
    measure, fp32_cost, int8_cost = int8.measure, int8.fp32_cost, int8.int8_cost
    speed = speed_sentence(fp32_cost, int8_cost)
    return f"""## Int8

`{MODEL}` is the fp32 graph, quantised statically per channel on {int8.calibration} pictures ({int8.attempt.name}).

| | fp32 | int8 | |
|---|---|---|---|
| {measure.name} | {measure.fp32:.4f} | {measure.int8:.4f} | {measure.share:.1%}, at least {GATE:.0%} wanted |
| one picture, one thread | {fp32_cost.seconds * 1000:.2f} ms | {int8_cost.seconds * 1000:.2f} ms | {speed} |
| size | {fp32_cost.size} bytes | {int8_cost.size} bytes | {int8_cost.size / fp32_cost.size:.0%} |

Measured on {measure.pictures} pictures that it was not calibrated on, on the machine that made it.
"""


def _made(folder: Path, manifest: Manifest, card: str, int8: Int8) -> Manifest:
    roles = {entry.path: entry.role for entry in manifest.files} | {MODEL: "model", card: "card"}
    fp32 = fp32_of(manifest)
    variants = [
        replace(each, cost_microseconds=_micro(int8.fp32_cost.seconds)) if each is fp32 else each
        for each in manifest.variants
    ]
    variants.append(Variant("int8", "int8", MODEL, _micro(int8.int8_cost.seconds)))
    entries = tuple(_entry(folder / path, role) for path, role in sorted(roles.items()))
    return replace(manifest, variants=tuple(variants), files=entries)


def _micro(seconds: float) -> int:
    return max(1, round(seconds * 1e6))


def _entry(path: Path, role: str) -> FileEntry:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(path.name, ids.digest(f"sha256:{digest}"), path.stat().st_size, role)
    except OSError as error:
        raise Rejected(f"{path} cannot be read: {error.strerror}") from error
