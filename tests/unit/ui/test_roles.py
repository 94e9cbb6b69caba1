"""A page offers its reader what their role may do, and nothing else; what it does not offer is refused all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from controlplane.identity import roles
from controlplane.identity.roles import Role
from tests.sim import office, run_data
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimBrowser, SimControlPlane
from tests.sim.fleet_data import HarbourFleet
from tests.sim.pages import PAGES

PATHS = sorted({shown.path for shown in PAGES if "healthy" in shown.states})
ADMINS_PAGE = "/tokens/api"
FORM_PAGES = ("/deploy", "/edit", "/apply")  # links whose only use is to change something
Asked = tuple[str, str]  # method and path


@dataclass
class Form:
    asks: Asked
    works: bool = False


@dataclass
class Offered(HTMLParser):
    """Requests that the controls of a page would send, and dialogs that its buttons open."""

    asks: set[Asked] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    _forms: list[Form] = field(default_factory=list)
    _disabled: list[bool] = field(default_factory=list)  # of the fieldsets around

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.ids.add(given.get("id", ""))
        works = "disabled" not in given and not any(self._disabled)
        if tag == "fieldset":
            self._disabled.append("disabled" in given)
        elif tag == "form":
            self._forms.append(Form(_form(given)))
        elif tag == "a" and given.get("href", "").partition("?")[0].endswith(FORM_PAGES):
            self.asks.add(("PUT", "/api/v1/deployments/any"))
        elif tag in ("button", "input"):
            self._control(given, submits=tag == "button" and given.get("type") != "button", works=works)

    def _control(self, given: dict[str, str], *, submits: bool, works: bool) -> None:
        if self._forms and ((submits and works) or "data-confirm" in given):
            self._forms[-1].works = True
        if works and "data-api" in given:
            self.asks.add(_asks(given["data-api"]))
        if works and ("data-slow-down" in given or "data-pause" in given):
            self.asks.add(("PUT", "/api/v1/nodes/any"))
        if "data-dialog" in given:
            self.opened.add(given["data-dialog"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "fieldset":
            self._disabled.pop()
        if tag == "form":
            form = self._forms.pop()
            if form.works and form.asks[1]:
                self.asks.add(form.asks)


def _form(given: dict[str, str]) -> Asked:
    if given.get("id") in ("deployment-form", "apply-form"):
        return "PUT", "/api/v1/deployments/any"
    return _asks(given.get("data-api", " "))


def _asks(said: str) -> Asked:
    method, _, path = said.partition(" ")
    return method, path.replace("{", "").replace("}", "")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimControlPlane]:
    folder: Path = tmp_path_factory.mktemp("roles")
    made = SimControlPlane(folder, FakeClock(), recipes=Path("models"))
    fleet = HarbourFleet(made.services)
    fleet.join()
    office.furnish(fleet)
    run_data.play(made.services, made.executor)
    fleet.tick()
    yield made
    made.close()


@pytest.fixture(scope="module")
def people(plane: SimControlPlane) -> dict[Role, SimBrowser]:
    tokens = {role: plane.identity.create_api_token(role.value, person=None, role=role) for role in Role}
    headers = {role: {"Authorization": f"Bearer {token.text}", "Accept": "text/html"} for role, token in tokens.items()}
    return {role: plane.browser(headers[role]) for role in Role}


def offered(browser: SimBrowser, path: str) -> Offered:
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    found = Offered()
    found.feed(answer.text)
    return found


def readable(role: Role) -> list[str]:
    return [path for path in PATHS if role is Role.ADMIN or path != ADMINS_PAGE]


@pytest.mark.parametrize("role", Role)
def test_a_page_offers_what_its_reader_may_do_and_nothing_else(people: dict[Role, SimBrowser], role: Role) -> None:
    too_much = {
        (path, asked)
        for path in readable(role)
        for asked in offered(people[role], path).asks
        if not role.covers(roles.needed(*asked))
    }
    assert too_much == set()


@pytest.mark.parametrize("role", Role)
def test_every_button_that_opens_a_dialog_has_one(people: dict[Role, SimBrowser], role: Role) -> None:
    for path in readable(role):
        found = offered(people[role], path)
        assert found.opened <= found.ids, path


def test_no_page_links_to_one_that_its_reader_may_not_see(people: dict[Role, SimBrowser]) -> None:
    for role in (Role.VIEWER, Role.OPERATOR):
        assert all(f'href="{ADMINS_PAGE}"' not in people[role].get(path).text for path in readable(role))


def test_who_may_more_is_offered_more(people: dict[Role, SimBrowser]) -> None:
    """And so the tests above look at something."""
    asks = {role: {asked for path in readable(role) for asked in offered(people[role], path).asks} for role in Role}
    assert asks[Role.VIEWER] < asks[Role.OPERATOR] < asks[Role.ADMIN]
    nouns = {path.split("/")[3] for _, path in asks[Role.OPERATOR]}
    assert nouns >= {"nodes", "cameras", "deployments", "releases", "runs", "jointokens"}
    assert {path.split("/")[3] for _, path in asks[Role.ADMIN]} - nouns >= {"people", "settings", "apitokens"}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_what_a_page_does_not_offer_is_refused_by_the_service_itself(
    people: dict[Role, SimBrowser], role: Role
) -> None:
    asks = {asked for path in PATHS for asked in offered(people[Role.ADMIN], path).asks}
    beyond = {asked for asked in asks if not role.covers(roles.needed(*asked))}
    assert len(beyond) >= 5
    for method, path in beyond:
        assert people[role].request(method, path, json={}).status_code == 403, (method, path)
