"""Pages of deployments, over the services, and the preview their form asks for. The views themselves are pure.

A form stands among a page's values and not its facts: what somebody types must not be replaced because a box called.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends

from controlplane.container import Services
from controlplane.identity.access import Current, require_user
from controlplane.registry.domain import StoredRelease
from controlplane.ui import deployments, terms
from controlplane.ui.documents import labels_of, to_write
from controlplane.ui.page import Asked, Crumb, Document, View
from controlplane.ui.shell import Page, each, fragment
from protos.errors import Rejected
from protos.ids import ModelName

DEPLOYMENTS = Crumb("Deployments", "/deployments")
MOST_LABELS = 24  # offered to click on
router = APIRouter(include_in_schema=False, dependencies=[Depends(require_user)])


def list_deployments(services: Services, _asked: Asked) -> View:
    facts = {"lines": deployments.lines(services.fleet.list_deployments())}
    return View("deployments.html", "Deployments", "deployments", facts)


def one_deployment(services: Services, asked: Asked) -> View:
    item = services.fleet.get_deployment(asked.name)
    releases = _of_model(services, item["spec"]["model"])
    facts = {"deployment": deployments.deployment(item, services.fleet.list_nodes(), releases)}
    return View("deployment.html", asked.name, "deployments", facts, crumbs=(DEPLOYMENTS,))


def _of_model(services: Services, model: str) -> list[StoredRelease]:
    return [release for release in services.registry.releases() if release.model == ModelName(model)]


def new_deployment(services: Services, asked: Asked) -> View:
    """Begins with the release that ?release= names, or the newest."""
    releases = services.registry.releases()
    wanted = [release for release in releases if release.name == asked.query.get("release")] or releases
    chosen = {"model": wanted[-1].model, "version": wanted[-1].version} if wanted else {}
    fields = {**deployments.DEFAULTS, "name": "", **chosen}
    return _form(services, releases, fields, "New deployment", (DEPLOYMENTS,))


def edit_deployment(services: Services, asked: Asked) -> View:
    item = services.fleet.get_deployment(asked.name)
    crumbs = (DEPLOYMENTS, Crumb(asked.name, f"/deployments/{asked.name}"))
    fields = {**deployments.fields_of(item), "metadata": to_write(item)["metadata"]}
    return _form(services, services.registry.releases(), fields, f"Edit {asked.name}", crumbs)


def _form(
    services: Services, releases: list[StoredRelease], fields: dict[str, Any], title: str, crumbs: tuple[Crumb, ...]
) -> View:
    form = {
        "name": fields["name"],
        "metadata": fields.pop("metadata", {}),
        "fields": fields,
        "terms_told": any(fields[key] != usual for key, usual in terms.DEFAULTS.items()),
        "choices": deployments.choices((release, services.contents.manifest(release)) for release in releases),
        "node_labels": _labels(services.fleet.list_nodes()),
        "camera_labels": _labels(services.fleet.list_cameras()),
    }
    return View("deployment_form.html", title, "deployments", values={"form": form}, crumbs=crumbs)


def _labels(documents: Iterable[Document]) -> list[str]:
    found = {f"{key}={value}" if value else key for document in documents for key, value in labels_of(document)}
    return sorted(found)[:MOST_LABELS]


@router.post("/ui/deployments/preview")
def preview(fields: Annotated[dict[str, Any], Body()], services: Current) -> dict[str, Any]:
    """What the form stands for: the document, the same as YAML, and which boxes and cameras it chooses."""
    written = deployments.document({**deployments.DEFAULTS, **fields})
    name = written["metadata"]["name"] or "new"
    try:
        selected = services.fleet.preview_deployment(name, {**written, "metadata": {"name": name}})
    except Rejected as error:
        return {"document": written, "yaml": deployments.as_yaml(written), "problem": str(error), "html": ""}
    html = fragment("deployment_preview.html", preview=deployments.preview(selected))
    return {"document": written, "yaml": deployments.as_yaml(written), "problem": "", "html": html}


PAGES = (
    Page("/deployments", each(list_deployments)),
    Page("/deploy", each(new_deployment)),
    Page("/deployments/{name}", each(one_deployment)),
    Page("/deployments/{name}/edit", each(edit_deployment)),
)
