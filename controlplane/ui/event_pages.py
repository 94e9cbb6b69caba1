"""The page of events, over the services. The view itself is pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.audit import schemas as audits
from controlplane.container import Services
from controlplane.fleet import sources
from controlplane.insights import schemas
from controlplane.insights.matching import Wanted
from controlplane.insights.repository import Only
from controlplane.ui import events
from controlplane.ui.events import ON_A_PAGE, Facts, Filters
from controlplane.ui.page import Asked, View
from controlplane.ui.shell import Page, each
from protos.errors import Rejected

READ = 2 * ON_A_PAGE  # of each kind: more than a page, for those of its last millisecond


def list_events(services: Services, asked: Asked) -> View:
    filters = Filters(**{key: text for key, text in asked.query.items() if key in Filters.__dataclass_fields__})
    problem = ""
    try:
        found = list(_found(services, filters))
    except Rejected as error:
        found, problem = [], str(error)
    names = services.fleet.names()
    manifests = [services.contents.manifest(release) for release in services.registry.releases()]
    facts: dict[str, Any] = {
        **events.page(found, filters),
        "filters": vars(filters),
        "kinds": events.KINDS,
        "spans": events.SPANS,
        "problem": problem,
        "cameras": names.cameras,
        "nodes": names.nodes,
        "classes": sorted({label for manifest in manifests if manifest for label in manifest.labels}),
        "zones": names.zones,
    }
    return View("events.html", "Events", "events", facts)


def _found(services: Services, filters: Filters) -> Iterator[Facts]:
    """Raises Rejected."""
    since, until = filters.span(services.insights.now_ms)
    score = filters.score()
    only = Only(node=filters.node, camera=filters.camera)
    if filters.wants("detection"):
        wanted = Wanted(since, until, filters.node, filters.camera, "", filters.label, filters.zone, score)
        for found in services.insights.detections(wanted, READ).items:
            yield events.detection(schemas.detection(found.row, found.boxes).model_dump(), found.row.at_ms)
    if filters.wants("camera"):
        for row in services.insights.camera_changes(only, since, until, READ):
            told = schemas.camera_health(row).model_dump()
            yield events.camera({**told, "camera": row.camera, "reason": sources.scrubbed(row.reason)}, row.at_ms)
    if filters.wants("gap") and not filters.camera:
        for lost in services.insights.gaps(only, since, until, READ):
            yield events.gap(lost)
    if filters.wants("change") and not (filters.camera or filters.node):
        for entry in services.audit.between(since, until, READ):
            yield events.change(audits.entry(entry).model_dump(), entry.at_ms)


PAGES = (Page("/events", each(list_events)),)
