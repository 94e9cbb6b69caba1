"""A release folder with one more variant: read whole, written whole or not at all. fp32 stays first in the list.

Costs compare variants of the full size, which stand in for each other; a lighter size has none, so that agents from
before sizes run what is first.

Every file is proven against the manifest before it is used. The new release is another one: its manifest, and so its
digest, differ, and once the old one was pushed it needs a version of its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from controlplane.quantizing.domain import GATE, INT8, speed_sentence
from controlplane.quantizing.service import Passed
from protos import ids
from protos.errors import Rejected
from protos.manifest import FileEntry, Manifest, Measured, Variant, parse, to_bytes

MANIFEST, CARD = "manifest.json", "card.md"


def model_name(precision: str) -> str:
    return f"model-{precision}.onnx"


def read(folder: Path, precision: str) -> Manifest:
    """Raises Rejected for what is no whole release, or none that this precision can be made of."""
    manifest = read_whole(folder)
    if manifest.task == "tensor" or manifest.input is None:
        raise Rejected(
            f"a tensor release takes no pictures that {precision} could be judged by; convert it where it is trained"
        )
    if any(variant.precision == precision for variant in manifest.variants if not variant.size):
        raise Rejected(f"{folder} has an {precision} variant already; start from the release without it")
    return manifest


def read_whole(folder: Path) -> Manifest:
    """Raises Rejected for what is no whole release."""
    try:
        manifest = parse((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise Rejected(f"{folder} is no release folder; make one with 'longshore package'") from error
    for entry in manifest.files:
        if _entry(folder / entry.path, entry.role) != replace(entry, unknown={}):
            raise Rejected(f"{folder / entry.path} is not the file its manifest names; package the release again")
    return manifest


def fp32_of(manifest: Manifest) -> Variant:
    """Raises Rejected."""
    full = (variant for variant in manifest.variants if not variant.size)
    found = next((variant for variant in full if variant.precision == "fp32"), None)
    if found is None:
        raise Rejected(f"{manifest.name} {manifest.version} has no fp32 variant to make others of; package that first")
    return found


def beside_of(manifest: Manifest) -> list[Variant]:
    """All of its size but the fp32 one that others are made of."""
    fp32 = fp32_of(manifest)
    return [variant for variant in manifest.variants if variant is not fp32 and not variant.size]


def write(source: Path, manifest: Manifest, model: Path, made: Passed, measured: Measured, target: Path) -> Manifest:
    """The folder `target` with the files of `source` and the graph `model`. Raises Rejected."""
    with _copied(source, manifest, target) as beside:
        shutil.copyfile(model, beside / model_name(made.precision))
        card = _extended(beside, manifest, card_section(made))
        described = _made(beside, manifest, card, made, measured)
        (beside / MANIFEST).write_bytes(to_bytes(described))
    return described


def write_beside(source: Path, manifest: Manifest, models: Mapping[Variant, Path], section: str, target: Path) -> None:
    """The folder `target` with the files of `source` and these graphs, as variants beside those of `manifest`.

    `section`: what the card says of them. Raises Rejected.
    """
    with _copied(source, manifest, target) as beside:
        for variant, model in models.items():
            shutil.copyfile(model, beside / variant.file)
        card = _extended(beside, manifest, section)
        added = {variant.file: "model" for variant in models}
        entries = _entries(beside, manifest, added | {card: "card"})
        described = replace(manifest, variants=(*manifest.variants, *models), files=entries)
        (beside / MANIFEST).write_bytes(to_bytes(described))


def write_described(source: Path, manifest: Manifest, target: Path) -> None:
    """The folder `target` with the files of `source`, as `manifest` describes them. Raises Rejected."""
    with _copied(source, manifest, target) as beside:
        (beside / MANIFEST).write_bytes(to_bytes(manifest))


@contextmanager
def _copied(source: Path, manifest: Manifest, target: Path) -> Iterator[Path]:
    """A folder with the release's files to add to, which becomes `target` when that went well."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Rejected(f"{target} is there already and not empty; name another folder with -o")
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.mkdir(parents=True)
        for entry in manifest.files:
            shutil.copyfile(source / entry.path, beside / entry.path)
        yield beside
        beside.replace(target)
    except OSError as error:
        raise Rejected(f"cannot write {target}: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def card_section(made: Passed) -> str:
    """What the card says about the variant. No number is typed by hand."""
    measure, fp32_cost, cost, name = made.measure, made.fp32_cost, made.cost, made.precision
    how = f"with layers in half precision ({made.attempt.name})"
    if name == INT8:
        how = f"quantised statically per channel on {made.calibration} pictures ({made.attempt.name})"
    speed = speed_sentence(fp32_cost, cost)
    others = " that it was not calibrated on" if name == INT8 else ""
    return f"""## {name.capitalize()}

`{model_name(name)}` is the fp32 graph, {how}.

| | fp32 | {name} | |
|---|---|---|---|
| {measure.name} | {measure.fp32:.4f} | {measure.variant:.4f} | {measure.share:.1%}, at least {GATE:.0%} wanted |
| one picture, one thread | {fp32_cost.seconds * 1000:.2f} ms | {cost.seconds * 1000:.2f} ms | {speed} |
| size | {fp32_cost.size} bytes | {cost.size} bytes | {cost.size / fp32_cost.size:.0%} |

Measured on {measure.pictures} pictures{others}, on the processor that made it.
"""


def _made(folder: Path, manifest: Manifest, card: str, made: Passed, measured: Measured) -> Manifest:
    file = model_name(made.precision)
    costs = dict(zip((each.name for each in beside_of(manifest)), made.beside_costs, strict=True))
    costs[fp32_of(manifest).name] = made.fp32_cost
    variants = [
        each if each.size else replace(each, cost_microseconds=_micro(costs[each.name].seconds))
        for each in manifest.variants
    ]
    variants.append(Variant(made.precision, made.precision, file, _micro(made.cost.seconds), measured))
    entries = _entries(folder, manifest, {file: "model", card: "card"})
    return replace(manifest, variants=tuple(variants), files=entries)


def _extended(folder: Path, manifest: Manifest, section: str) -> str:
    """The card's name, after it got one more section."""
    card = next((entry.path for entry in manifest.files if entry.role == "card"), CARD)
    before = (folder / card).read_text(encoding="utf-8") if (folder / card).exists() else f"# {manifest.name}\n"
    (folder / card).write_text(f"{before.rstrip()}\n\n{section}", encoding="utf-8")
    return card


def _entries(folder: Path, manifest: Manifest, added: Mapping[str, str]) -> tuple[FileEntry, ...]:
    """`added`: roles of files beside those of the manifest, or changed, by name."""
    roles = {**{entry.path: entry.role for entry in manifest.files}, **added}
    return tuple(_entry(folder / path, role) for path, role in sorted(roles.items()))


def _micro(seconds: float) -> int:
    return max(1, round(seconds * 1e6))


def _entry(path: Path, role: str) -> FileEntry:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(path.name, ids.digest(f"sha256:{digest}"), path.stat().st_size, role)
    except OSError as error:
        raise Rejected(f"{path} cannot be read: {error.strerror}") from error
