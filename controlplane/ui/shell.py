"""What every page stands in: the frame of navigation around it, its address, its headers.

A page is a `Page`: an address such as "/nodes/{name}" and what makes its views. The same maker serves the browser that
fetches the page and the stream that keeps it alive. A folder of pages lists its own; `routes` collects them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.routing import compile_path

from controlplane.container import Services
from controlplane.errors import NotFound
from controlplane.identity.roles import Role
from controlplane.ui.live import Maker
from controlplane.ui.outcomes import LEGEND
from controlplane.ui.page import Asked, View

FOLDER = Path(__file__).parent
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Section:
    """An entry of the navigation; its icon is a symbol of icons.html."""

    key: str
    word: str
    href: str
    icon: str


SECTIONS = (
    Section("fleet", "Fleet", "/", "fleet"),
    Section("cameras", "Cameras", "/cameras", "camera"),
    Section("deployments", "Deployments", "/deployments", "deployment"),
    Section("models", "Models", "/models", "model"),
    Section("runs", "Runs", "/runs", "run"),
    Section("events", "Events", "/events", "event"),
    Section("people", "People", "/people", "people"),
    Section("tokens", "Tokens", "/tokens", "key"),
    Section("settings", "Settings", "/settings", "settings"),
)


@dataclass(frozen=True)
class May:
    """What whoever looks may do: a page offers nothing that would be refused. The service refuses by itself as well."""

    operate: bool
    administer: bool


def may(role: Role) -> May:
    return May(operate=role.covers(Role.OPERATOR), administer=role.covers(Role.ADMIN))


@dataclass(frozen=True)
class Page:
    """`make` may keep things between two views of one address (a chart, for one); it raises NotFound and Retryable."""

    path: str
    make: Callable[[Services, Asked], Maker]


def each(view: Callable[[Services, Asked], View]) -> Callable[[Services, Asked], Maker]:
    """The maker of a page that keeps nothing between two views."""
    return lambda services, asked: partial(view, services, asked)


class Pages:
    """Finds the page of an address."""

    def __init__(self, pages: Iterable[Page]) -> None:
        self._pages = [(compile_path(page.path)[0], page) for page in pages]

    @property
    def paths(self) -> list[str]:
        return [page.path for _, page in self._pages]

    def maker(self, services: Services, address: str) -> Maker:
        """Of a path with its query. Raises NotFound."""
        parts = urlsplit(address)
        for pattern, page in self._pages:
            if found := pattern.match(parts.path):
                return page.make(services, Asked(found.groupdict(), dict(parse_qsl(parts.query))))
        raise NotFound(f"there is no page {parts.path}; begin at /")


_templates = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(view: View, base_url: str = "", role: Role = Role.ADMIN) -> str:
    """Templates see the facts by name, the values as `v`, the page itself as `view`, and what its reader `may`."""
    around: dict[str, Any] = {
        "view": view,
        "shape": shape_for(view, role),
        "may": may(role),
        "v": view.values,
        "sections": SECTIONS,
        "legend": LEGEND,
        "outcome_names": [each for each, _, _ in LEGEND],
    }
    return _templates.get_template(view.template).render({**view.facts, **around, "base_url": base_url})


def shape_for(view: View, role: Role) -> str:
    """Changes when the page of somebody in that role has to be rendered again."""
    return f"{view.shape}-{role}"


def fragment(template: str, **facts: Any) -> str:
    """A part of a page that a script asks for by itself."""
    return _templates.get_template(template).render(facts)
