"""Pages of settings, people and tokens, over the services. The views themselves are pure.

API tokens have a page of their own, for admins only (identity.roles): whoever may see the others may not see them.
"""

from __future__ import annotations

from typing import Any

from controlplane.container import Services
from controlplane.identity import schemas
from controlplane.identity.roles import Role
from controlplane.people import schemas as people
from controlplane.settings.domain import NAME
from controlplane.shape import moment
from controlplane.ui import deployments, settings, tokens
from controlplane.ui.documents import name_of, to_write
from controlplane.ui.page import Asked, View
from controlplane.ui.shell import Page, each


def show_settings(services: Services, _asked: Asked) -> View:
    """The form is a value: what somebody types must not be replaced."""
    item = services.settings.get(NAME)
    facts: dict[str, Any] = {
        "stored": settings.stored(services.registry.releases(), item),
        "yaml": deployments.as_yaml(item),
        "changed": item["metadata"]["generation"] > 1,
    }
    values: dict[str, Any] = {"form": {"spec": item["spec"], "base": to_write(item)}}
    return View("settings.html", "Settings", "settings", facts, values)


def list_people(services: Services, _asked: Asked) -> View:
    documents = [people.document(person) for person in services.people.people()]
    lines = [{**tokens.person(item), "sessions": _sessions(services, name_of(item))} for item in documents]
    return View("people.html", "People", "people", {"people": lines, "roles": [role.value for role in Role]})


def _sessions(services: Services, name: str) -> list[dict[str, Any]]:
    return [tokens.session(people.session(row).model_dump()) for row in services.people.sessions(name)]


def list_join_tokens(services: Services, _asked: Asked) -> View:
    answers = [schemas.join_token(token).model_dump() for token in services.identity.join_tokens()]
    facts = {"joins": tokens.join_tokens(answers, moment(services.insights.now_ms)), "url": services.config.base_url}
    return View("join_tokens.html", "Join tokens", "tokens", facts)


def list_api_tokens(services: Services, _asked: Asked) -> View:
    answers = [schemas.api_token(row).model_dump() for row in services.identity.api_tokens()]
    facts = {
        "apis": tokens.api_tokens(answers),
        "people": [person.name for person in services.people.people()],
        "roles": [role.value for role in Role],
    }
    return View("api_tokens.html", "API tokens", "tokens", facts)


PAGES = (
    Page("/settings", each(show_settings)),
    Page("/people", each(list_people)),
    Page("/tokens", each(list_join_tokens)),
    Page("/tokens/api", each(list_api_tokens)),
)
