"""What `longshore support-bundle` packs: the API's answers about one box, each through the same redaction.

An answer that cannot be had is in the bundle as the sentence that came instead: it is made when things are broken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from controlplane.cli.client import Client, Document, address
from protos.errors import LongshoreError

LOG_SECONDS = 8  # the box opens its stream when it hears that somebody looks
NEWEST = 200  # rows of each history
BEST = 3  # boxes of each detection: enough to see what a model says, where a full picture has fifty


@dataclass(frozen=True)
class Asked:
    """One file of the bundle and where it comes from."""

    file: str
    path: str
    query: tuple[tuple[str, str | int], ...] = ()
    brief: Callable[[Document], Document] = lambda answer: answer


def asked(node: str) -> list[Asked]:
    """All that is asked about `node` itself."""
    return [
        Asked("node.json", address("nodes", node)),
        Asked("desired.json", address("nodes", node, "desired")),
        Asked("logs.json", address("nodes", node, "logs"), (("wait", LOG_SECONDS),)),
        Asked("stats.json", address("nodes", node, "stats"), (("since", "1h"), ("limit", NEWEST))),
        Asked("gaps.json", address("nodes", node, "gaps")),
        Asked("outcomes.json", "/outcomes", (("node", node), ("since", "1h"), ("step", "1m"))),
        Asked("detections.json", "/detections", (("node", node), ("limit", 20)), _briefly),
        Asked("audit.json", "/audit", (("since", "168h"), ("limit", NEWEST))),
        Asked("settings.json", "/settings"),
        Asked("releases.json", "/releases"),
        Asked("nodes.json", "/nodes"),
        Asked("server-version.json", "/version"),
    ]


def gather(client: Client, node: str, doing: Callable[[str, int, int], None]) -> Iterator[tuple[str, Any]]:
    """Files and their documents, not redacted yet. Raises NotFound, Retryable when the box itself is not told."""
    client.one("nodes", node)
    cameras = [each for each in _listed(client, "cameras") if each["spec"]["node"] == node]
    deployments = [each for each in _listed(client, "deployments") if _runs(each, node)]
    wanted = asked(node)
    wanted += [_health(each["metadata"]["name"]) for each in cameras]
    for number, each in enumerate(wanted, 1):
        yield each.file, _answer(client, each)
        doing("asking", number, len(wanted))
    yield "cameras.json", cameras
    yield "deployments.json", deployments
    yield "command.json", {"version": metadata.version("longshore"), "url": client.context.url}


def _answer(client: Client, wanted: Asked) -> Any:
    try:
        return wanted.brief(client.document("GET", wanted.path, params=dict(wanted.query)))
    except LongshoreError as error:
        return {"error": str(error)}


def _briefly(answer: Document) -> Document:
    """Detections with their best boxes, and how many there were."""
    items = [
        {**each, "boxes": sorted(each["boxes"], key=lambda box: -box["score"])[:BEST], "boxesFound": len(each["boxes"])}
        for each in answer["items"]
    ]
    return {**answer, "items": items}


def _listed(client: Client, plural: str) -> list[Document]:
    try:
        return client.listed(plural)
    except LongshoreError:
        return []


def _health(camera: str) -> Asked:
    where = address("cameras", camera, "health")
    return Asked(f"cameras/{camera}.json", where, (("since", "24h"), ("limit", NEWEST)))


def _runs(deployment: Document, node: str) -> bool:
    """Does its status speak of this box?"""
    return f'"{node}"' in json.dumps(deployment.get("status", {}))
