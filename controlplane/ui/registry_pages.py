"""Pages of models, releases and their differences, over the services. The views themselves are pure.

Looking into a graph takes a moment, so a page is served with what is known, and its stream looks into the rest.
"""

from __future__ import annotations

from controlplane.container import Services
from controlplane.errors import NotFound
from controlplane.registry import cards
from controlplane.registry.difference import Side, difference
from controlplane.registry.domain import StoredRelease
from controlplane.shape import moment
from controlplane.signing.proposal import SHORT
from controlplane.trust.proposals import Proposal
from controlplane.ui import differences, models
from controlplane.ui.page import Asked, Crumb, View
from controlplane.ui.shell import Page, each
from protos.ids import ModelName

MODELS = Crumb("Models", "/models")


def list_models(services: Services, _asked: Asked) -> View:
    facts = {"models": models.models(services.registry.models(), services.fleet.list_deployments())}
    return View("models.html", "Models", "models", facts)


def one_model(services: Services, asked: Asked) -> View:
    stored = services.registry.model(asked.name)
    facts = {"model": models.model(stored, services.fleet.list_deployments())}
    return View("model.html", stored.name, "models", facts, crumbs=(MODELS,))


def list_releases(services: Services, _asked: Asked) -> View:
    deployments = services.fleet.list_deployments()
    lines = [models.release_line(release, deployments) for release in reversed(services.registry.releases())]
    facts = {"lines": lines, "proposals": [_proposal(each) for each in services.proposals.pending()]}
    return View("releases.html", "Releases", "models", facts, crumbs=(MODELS,))


def _proposal(found: Proposal) -> dict[str, str]:
    """What waits for signatures: of whom, what would change, and until when."""
    needs = [f"{each.role}: {len(each.signed)} of {each.threshold}" for each in found.needs]
    return {
        "name": found.id[:SHORT],
        "who": found.who,
        "created": moment(found.created_ms),
        "expires": moment(found.expires_ms)[:10],
        "signed": ", ".join(needs),
        "changes": "\n".join(found.changes),
        "trouble": found.trouble,
    }


class ReleasePage:
    def __init__(self, services: Services, asked: Asked) -> None:
        self._services = services
        self._name = asked.name
        self._asked_before = False

    def __call__(self) -> View:
        """Raises NotFound, Retryable."""
        services, release = self._services, self._services.registry.release(self._name)
        look = services.contents.outlines if self._asked_before else services.contents.known_outlines
        outlines, self._asked_before = look(release), True
        siblings = services.registry.model(ModelName(release.model)).releases
        listing = services.trust.listings().get((release.model, release.version))
        facts = {
            "signature": models.signature(release, listing),
            "signed": moment(listing.signed_ms) if listing else "",
            "release": models.release(release, services.contents.manifest(release), siblings),
            "card": cards.html(services.contents.card(release)),
            "graphs": None if outlines is None else [(file, models.graph(each)) for file, each in outlines.items()],
            "users": models.users(release, services.fleet.list_deployments()),
        }
        crumbs = (MODELS, Crumb(release.model, f"/models/{release.model}"))
        return View("release.html", f"{release.model} {release.version}", "models", facts, crumbs=crumbs)


class DifferencePage:
    """From one release to another, of the same model or not."""

    def __init__(self, services: Services, asked: Asked) -> None:
        self._services = services
        self._names = (asked.query.get("from", ""), asked.query.get("to", ""))
        self._asked_before = False

    def __call__(self) -> View:
        """Raises NotFound, Retryable."""
        services = self._services
        if not all(self._names):
            raise NotFound("name two releases to compare; a model's page has a form for it: /models")
        before, after = (services.registry.release(name) for name in self._names)
        sides = [services.contents.side(release, only_known=not self._asked_before) for release in (before, after)]
        self._asked_before = True
        return self._view(before, after, sides)

    def _view(self, before: StoredRelease, after: StoredRelease, sides: list[Side]) -> View:
        one = before.model == after.model
        older, newer = (release.version if one else f"{release.model} {release.version}" for release in (before, after))
        facts = {
            "difference": differences.difference(difference(*sides)),
            "looked": all(side.outlines is not None for side in sides),
            "before": {"name": before.name, "version": older},
            "after": {"name": after.name, "version": newer},
            "choices": [
                {"name": release.name, "text": f"{release.model} {release.version}"}
                for release in reversed(self._services.registry.releases())
            ],
        }
        crumbs = (MODELS, Crumb(after.model, f"/models/{after.model}"))
        title = f"{before.model} {before.version} → {newer}"
        return View("difference.html", title, "models", facts, crumbs=crumbs)


PAGES = (
    Page("/models", each(list_models)),
    Page("/models/{name}", each(one_model)),
    Page("/releases", each(list_releases)),
    Page("/releases/{name}", ReleasePage),
    Page("/difference", DifferencePage),
)
