"""What `package --lighter NAME=…` needs: a release folder and others in, one release of several sizes out.

Rules that hold here: a box fits a frame once and any size may look at it, so all take the same pictures; whatever
answers names the same classes; a lighter size is of the precision of the release's first variant, so that agents from
before sizes choose none of them. Of a lighter release its first variant is taken. Nothing is printed here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from controlplane.cli import packing
from controlplane.cli.kinds import human_bytes
from controlplane.gate.runner import Gate, Use
from controlplane.quantizing import folder
from protos import ids
from protos import manifest as manifests
from protos.errors import Rejected
from protos.manifest import FULL, PRECISIONS, ImageInput, Manifest, Variant

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


@dataclass(frozen=True)
class Wish:
    """`releases`: the folder of each lighter size."""

    releases: Mapping[str, Path]
    version: str = ""
    gate: Gate = field(default_factory=Gate)


def named(words: Sequence[str]) -> dict[str, Path]:
    """`small=yolo11n.onnx`: sizes and what they are made of, a file or a release.

    Raises:
        Rejected: not of that form, or a name that is no size.
    """
    found: dict[str, Path] = {}
    for word in words:
        name, equals, place = word.partition("=")
        if not equals or not _NAME.fullmatch(name) or name in (FULL, *PRECISIONS, *found):
            raise Rejected(
                "--lighter takes NAME=FILE.onnx or NAME=RELEASE such as small=yolo11n.onnx, each name once and none of "
                f"{', '.join((FULL, *PRECISIONS))}; not {word!r}"
            )
        if not Path(place).exists():
            raise Rejected(f"--lighter {name}: {place} is not there; give the .onnx file or the release of that size")
        found[name] = Path(place)
    return found


def make(release: Path, wish: Wish, target: Path) -> Manifest:
    """Write `target`: the release at `release` with these lighter sizes beside it.

    Raises:
        Rejected: they do not suit each other, or the gate refused one; nothing is written.
    """
    packing.check_free(target)
    manifest = folder.read_whole(release)
    if wish.version:
        manifest = replace(manifest, version=ids.version(wish.version))
    models: dict[Variant, Path] = {}
    known = {manifest.file(each.file).digest: each.name for each in manifest.variants}
    for name, place in wish.releases.items():
        other = folder.read_whole(place)
        check(manifest, name, other)
        digest = other.file(other.variants[0].file).digest
        if digest in known:
            raise Rejected(f"--lighter {name}: it is the very same model as {known[digest]}; give one that takes less")
        known[digest] = name
        model = place / other.variants[0].file
        packing.check_harmless(model, wish.gate)
        figures = packing.measured(model, wish.gate, Use(other.task, other.input))
        models[Variant(name, other.variants[0].precision, folder.model_name(name), measured=figures, size=name)] = model
    manifests.check_counts(replace(manifest, variants=(*manifest.variants, *models)))
    folder.write_beside(release, manifest, models, _section(models), target)
    return folder.read_whole(target)


def check(manifest: Manifest, name: str, other: Manifest) -> None:
    """May `other` be a lighter size of the release `manifest`? Raises Rejected with the first reason why not."""
    if manifest.task != "detection" or other.task != "detection":
        raise Rejected(f"--lighter {name}: only detectors come in sizes, for boxes choose them for cameras' frames")
    if any(variant.name == name for variant in manifest.variants):
        raise Rejected(f"--lighter {name}: the release has a variant of that name already; give the size another")
    if other.labels != manifest.labels:
        raise Rejected(
            f"--lighter {name}: it knows other classes than the release ({_classes(other)}; {_classes(manifest)}); all "
            "sizes must name the same ones in the same order"
        )
    if _looks_at(other.input) != _looks_at(manifest.input):
        raise Rejected(
            f"--lighter {name}: it looks at {_looks_at(other.input)} and the release at {_looks_at(manifest.input)}; a "
            "frame is fitted once for all sizes, so export it for the same pictures"
        )
    wanted = manifest.variants[0].precision
    if other.variants[0].precision != wanted:
        raise Rejected(f"--lighter {name}: it is {other.variants[0].precision} and the release {wanted}; give it so")


def heavier(manifest: Manifest) -> list[str]:
    """What to say of lighter sizes whose files are no smaller than the full size's; only measuring tells their cost."""
    full = manifest.file(manifest.variants[0].file).size
    told = [(each.name, manifest.file(each.file).size) for each in manifest.variants if each.size]
    return [
        f"{name} has {human_bytes(size)} and the full size {human_bytes(full)}: whether it is lighter, --evaluate tells"
        for name, size in told
        if size >= full
    ]


def _classes(manifest: Manifest) -> str:
    shown = ", ".join(manifest.labels[:3])
    return shown if len(manifest.labels) <= 3 else f"{shown} and {len(manifest.labels) - 3} more"


def _looks_at(image: ImageInput | None) -> str:
    if image is None:
        return "no pictures"
    pad = f" with {image.pad}" if image.fit == "letterbox" else ""
    return f"{image.width}×{image.height} pictures ({image.fit}{pad})"


def _section(models: Mapping[Variant, Path]) -> str:
    """What the card says of them."""
    rows = [f"| {each.size} | `{each.file}` | {model.stat().st_size} bytes |" for each, model in models.items()]
    head = "## Lighter sizes\n\nA box answers a frame with one of these where it has no time for the full size.\n\n"
    return f"{head}| size | file | |\n|---|---|---|\n" + "\n".join(rows) + "\n"
