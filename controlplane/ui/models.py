"""What the pages of models and releases show. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from controlplane.registry.domain import StoredModel, StoredRelease
from controlplane.registry.outline import Outline
from controlplane.shape import moment
from controlplane.signing import documents
from controlplane.ui import figures
from controlplane.ui.page import Document
from protos.ids import hex_of
from protos.judged import Cost, Judged
from protos.manifest import Manifest
from protos.trust import Listing

Facts = dict[str, Any]
MOST_OPERATORS = 12  # drawn; the others are summed up
TASKS = {
    "detection": "finds objects",
    "classification": "names what it sees",
    "tensor": "gives plain tensors",
    "agent": "is the agent of boxes",
}


def models(stored: Iterable[StoredModel], deployments: Sequence[Document]) -> list[Facts]:
    return [_model(each, deployments) for each in stored]


def _model(stored: StoredModel, deployments: Sequence[Document]) -> Facts:
    newest = stored.releases[-1] if stored.releases else None
    users = [item for item in deployments if item["spec"]["model"] == stored.name]
    return {
        "name": stored.name,
        "task": newest.task if newest else "",
        "labels": tuple(sorted(stored.labels.items())),
        "releases": len(stored.releases),
        "newest": release_line(newest, deployments) if newest else None,
        "deployments": [_user(item) for item in users],
        "created": moment(stored.created_ms),
    }


def model(stored: StoredModel, deployments: Sequence[Document]) -> Facts:
    """With its releases, newest first."""
    lines = [release_line(each, deployments) for each in reversed(stored.releases)]
    return {**_model(stored, deployments), "lines": lines}


def release_line(release: StoredRelease, deployments: Iterable[Document]) -> Facts:
    return {
        "name": release.name,
        "model": release.model,
        "version": release.version,
        "task": release.task,
        "does": TASKS.get(release.task, release.task),
        "digest": figures.short(release.digest),
        "size": figures.size(sum(entry.size for entry in release.files)),
        "created": moment(release.created_ms),
        "deployments": users(release, deployments),
    }


def users(release: StoredRelease, deployments: Iterable[Document]) -> list[Facts]:
    """Deployments that ask for this release."""
    wanted = (release.model, release.version)
    return [_user(item) for item in deployments if (item["spec"]["model"], item["spec"]["version"]) == wanted]


def _user(item: Document) -> Facts:
    nodes = item["status"]["nodes"]
    return {
        "name": item["metadata"]["name"],
        "version": item["spec"]["version"],
        "updated": nodes["updated"],
        "desired": nodes["desired"],
        "failed": nodes["failed"],
    }


def signature(stored: StoredRelease, listing: Listing | None) -> str:
    """Who listed it and on which terms; "" where nobody did."""
    return documents.in_words(listing) if listing is not None and listing.digest == stored.digest else ""


def release(stored: StoredRelease, manifest: Manifest | None, siblings: Sequence[StoredRelease]) -> Facts:
    """One release without its deployments; `siblings` are all releases of its model, oldest first."""
    image = manifest.input if manifest else None
    variants = manifest.variants if manifest else ()
    sizes = {entry.path: entry.size for entry in stored.files}
    versions = [each.name for each in siblings]
    at = versions.index(stored.name) if stored.name in versions else 0
    return {
        **release_line(stored, ()),
        "whole_digest": stored.digest,
        "input": f"{image.width} × {image.height}" if image else "",
        "fit": image.fit if image else "",
        "classes": list(manifest.labels) if manifest else [],
        "variants": [
            {
                "name": each.name,
                "precision": each.precision,
                "file": each.file,
                "size": figures.size(sizes[each.file]),
                "lighter": bool(each.size),
            }
            for each in variants
        ],
        "files": [
            {"path": each.path, "role": each.role, "size": figures.size(each.size), "sha256": hex_of(each.digest)}
            for each in stored.files
        ],
        "readable": manifest is not None,
        "judged": _judged(manifest.judged) if manifest and manifest.judged else None,
        "can_be_judged": stored.task in ("detection", "classification"),
        "before": siblings[at - 1].name if at > 0 else "",
        "siblings": [
            {"name": each.name, "version": each.version} for each in reversed(siblings) if each.name != stored.name
        ],
    }


def _judged(judged: Judged) -> Facts:
    """What packaging measured on labelled pictures; the curve of a calibration in a square of 100, y downwards."""
    return {
        "by": f"{judged.metric} on {judged.pictures:,} pictures with {judged.objects:,} objects",
        "metric": judged.metric,
        "variants": [
            {
                "name": each.name,
                "metric": f"{each.metric:.3f}",
                "right": figures.percent(round(1e4 * each.right), 10_000),
                "curve": " ".join(f"{100 * score:.1f},{100 - 100 * share:.1f}" for score, share in each.confidence),
                "cost": _cost(each.cost),
            }
            for each in judged.variants
        ],
        "jpeg": [
            {
                "quality": each.quality,
                "side": each.max_side,
                "size": figures.size(each.bytes),
                "metric": f"{each.metric:.3f}",
                "right": figures.percent(round(1e4 * each.right), 10_000),
            }
            for each in judged.jpeg
        ],
    }


def _cost(cost: Cost | None) -> str:
    """Of a call of n pictures."""
    return f"{cost.frame / 1000:.1f}·n + {cost.call / 1000:.1f} ms" if cost else "–"


def graph(outline: Outline) -> Facts:
    """An outline as bars and lines: the widest bar is 100."""
    operators = list(outline["operators"].items())
    shown, rest = operators[:MOST_OPERATORS], operators[MOST_OPERATORS:]
    if rest:
        shown.append((f"{figures.plural(len(rest), 'other kind', 'other kinds')}", sum(count for _, count in rest)))
    most = max((count for _, count in shown), default=1)
    return {
        "opset": outline["opset"],
        "producer": outline["producer"] or "–",
        "nodes": f"{outline['nodes']:,}",
        "parameters": _amount(outline["parameters"]),
        "weights": " · ".join(f"{_amount(count)} {kind}" for kind, count in outline["weights"].items()) or "none",
        "inputs": [_tensor(each) for each in outline["inputs"]],
        "outputs": [_tensor(each) for each in outline["outputs"]],
        "operators": [{"name": name, "count": count, "share": round(100 * count / most, 1)} for name, count in shown],
    }


def _tensor(outline: Outline) -> Facts:
    return {"name": outline["name"], "type": f"{outline['type']} [{', '.join(outline['shape'])}]"}


def _amount(count: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)
