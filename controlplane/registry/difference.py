"""What differs between two releases, from their manifests, files, cards and graphs. Pure.

A Line names one thing, how it was and how it is; `change` is one of `same added removed changed`. Lists of labels are
compared by place too: a class that moved gets another number, which breaks who counts by number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.registry.domain import StoredFile
from controlplane.registry.outline import Outline
from protos.manifest import Manifest

SAME, ADDED, REMOVED, CHANGED = "same", "added", "removed", "changed"
NONE = ""
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Side:
    """One of the two. `figures` are those of its card, by name; `outlines` are by file."""

    name: str
    manifest: Manifest | None
    files: Sequence[StoredFile] = ()
    figures: Mapping[str, str] = field(default_factory=dict)
    outlines: Mapping[str, Outline] | None = None  # None: not looked into


@dataclass(frozen=True)
class Line:
    name: str
    before: str
    after: str

    @property
    def change(self) -> str:
        if self.before == self.after:
            return SAME
        return ADDED if not self.before else REMOVED if not self.after else CHANGED


@dataclass(frozen=True)
class FileLine:
    """A file of either side; sizes in bytes, None where it is not there."""

    path: str
    before: int | None
    after: int | None
    same_content: bool

    @property
    def change(self) -> str:
        if self.before is None or self.after is None:
            return ADDED if self.before is None else REMOVED
        return SAME if self.same_content else CHANGED


@dataclass(frozen=True)
class Difference:
    manifest: tuple[Line, ...]  # its fields, but for those below
    input: tuple[Line, ...]
    labels: tuple[Line, ...]  # by number
    variants: tuple[Line, ...]
    files: tuple[FileLine, ...]
    figures: tuple[Line, ...]
    graph: tuple[Line, ...] | None  # None: not looked into
    operators: tuple[Line, ...] | None

    @property
    def nothing(self) -> bool:
        """Whether all that was looked at is the same."""
        parts: list[Line | FileLine] = [*self.manifest, *self.input, *self.labels, *self.variants, *self.files]
        parts += [*self.figures, *(self.graph or ()), *(self.operators or ())]
        return all(part.change == SAME for part in parts)


def difference(before: Side, after: Side) -> Difference:
    graph = operators = None
    if before.outlines is not None and after.outlines is not None:
        one, other = _first(before), _first(after)
        graph = _lines(_graph(one), _graph(other))
        operators = _lines(_texts(one.get("operators", {})), _texts(other.get("operators", {})))
    return Difference(
        manifest=_lines(_fields(before.manifest), _fields(after.manifest)),
        input=_lines(_input(before.manifest), _input(after.manifest)),
        labels=_lines(_labels(before.manifest), _labels(after.manifest)),
        variants=_lines(_variants(before.manifest), _variants(after.manifest)),
        files=_files(before.files, after.files),
        figures=_lines(before.figures, after.figures),
        graph=graph,
        operators=operators,
    )


def _lines(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Line, ...]:
    """In the order of the newer side; what only the older one has stands last."""
    names = [*after, *(name for name in before if name not in after)]
    return tuple(Line(name, before.get(name, NONE), after.get(name, NONE)) for name in names)


def _fields(manifest: Manifest | None) -> dict[str, str]:
    if manifest is None:
        return {}
    known = {"name": manifest.name, "version": manifest.version, "task": manifest.task}
    return {**known, **{key: _text(value) for key, value in sorted(manifest.unknown.items())}}


def _input(manifest: Manifest | None) -> dict[str, str]:
    if manifest is None or manifest.input is None:
        return {}
    image = manifest.input
    size = f"{image.width} × {image.height}"
    rest = {key: _text(value) for key, value in sorted(image.unknown.items())}
    return {"name": image.name, "size": size, "fit": image.fit, "pad": str(image.pad), **rest}


def _labels(manifest: Manifest | None) -> dict[str, str]:
    return {str(number): label for number, label in enumerate(manifest.labels)} if manifest else {}


def _variants(manifest: Manifest | None) -> dict[str, str]:
    variants = manifest.variants if manifest else ()
    sizes = {variant.name: f", size {variant.size}" if variant.size else "" for variant in variants}
    return {variant.name: f"{variant.precision}, {variant.file}{sizes[variant.name]}" for variant in variants}


def _files(before: Iterable[StoredFile], after: Iterable[StoredFile]) -> tuple[FileLine, ...]:
    old, new = ({entry.path: entry for entry in files} for files in (before, after))
    lines = []
    for path in sorted({*old, *new}):
        was, now = old.get(path), new.get(path)
        same = was is not None and now is not None and was.digest == now.digest
        lines.append(FileLine(path, was.size if was else None, now.size if now else None, same))
    return tuple(lines)


def _first(side: Side) -> Outline:
    """Of the variant that boxes take unless something speaks against it."""
    outlines = side.outlines or {}
    variants = side.manifest.variants if side.manifest else ()
    wanted = variants[0].file if variants else ""
    return outlines.get(wanted) or next(iter(outlines.values()), {})


def _graph(outline: Outline) -> dict[str, str]:
    if not outline:
        return {}
    told = {key: str(outline[key]) for key in ("opset", "producer", "nodes", "parameters")}
    weights = {f"weights, {kind}": str(count) for kind, count in outline["weights"].items()}
    return {**told, **weights, **_tensors("input", outline["inputs"]), **_tensors("output", outline["outputs"])}


def _tensors(what: str, tensors: Iterable[Outline]) -> dict[str, str]:
    return {f"{what} {each['name']}": f"{each['type']} [{', '.join(each['shape'])}]" for each in tensors}


def _texts(counts: Mapping[str, int]) -> dict[str, str]:
    return {name: str(count) for name, count in sorted(counts.items())}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def number(cell: str) -> float | None:
    """A figure of a card, without its unit."""
    found = _NUMBER.match(cell)
    return float(found[0]) if found else None
