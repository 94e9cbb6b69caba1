"""What people do on the pages of models, deployments, events, people and tokens, as a person does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from controlplane.training.ports import State, Trainer
from tests.sim import office, run_data
from tests.sim.fleet_data import DEPLOYMENT
from tests.sim.page_server import PageServer, page_server, ticking
from tests.sim.registry_data import harbour_next
from tests.sim.screenshots import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
SECONDS = 30
T = TypeVar("T")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PageServer]:
    with page_server(tmp_path) as made:
        made.fleet.join()
        office.furnish(made.fleet)
        made.fleet.tick()
        with ticking(made.fleet, 1.0):
            yield made


@pytest.fixture
def page(browser: Any, server: PageServer) -> Page:
    sign_in(browser, server)
    return Page(browser, server)


class Page:
    """A browser that is signed in, and the hands of whoever sits before it."""

    def __init__(self, browser: Any, server: PageServer) -> None:
        self.browser = browser
        self.server = server

    def open(self, path: str) -> None:
        self.browser.get(self.server.url + path)
        self.until(lambda: self.find("#link[data-is=live]"))

    def find(self, selector: str) -> Any:
        found = self.browser.find_elements("css selector", selector)
        return found[0] if found else None

    def text(self, selector: str = "main") -> str:
        found = self.find(selector)
        return str(found.text) if found else ""

    def click(self, selector: str) -> None:
        self.until(lambda: self.find(selector) and self.find(selector).is_displayed())
        self.find(selector).click()

    def type(self, selector: str, text: str) -> None:
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def choose(self, selector: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.find(selector)).select_by_value(value)

    def until(self, condition: Callable[[], T]) -> T:
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        waiting = WebDriverWait(self.browser, SECONDS, 0.1, ignored_exceptions=[StaleElementReferenceException])
        found: T = waiting.until(lambda _: condition())
        return found

    def complaints(self) -> list[str]:
        return [
            entry["message"] for entry in self.browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")
        ]


# ---- deployments ----


def test_a_deployment_is_made_with_a_preview_of_what_it_chooses(page: Page) -> None:
    page.open("/deployments")
    page.click("main .head a.primary")
    page.until(lambda: "2 boxes, 3 cameras" in page.text("#preview"))
    page.type("#name", "gate-watch")
    page.click('[data-for="nodeSelector"][data-add="quay=south"]')
    page.until(lambda: "1 box, 1 camera" in page.text("#preview"))
    assert "quay: south" in page.text("#yaml")
    page.until(lambda: page.find("#classes .chip")).click()
    page.until(lambda: "- boat" in page.text("#yaml"))
    page.click("#apply")
    page.until(lambda: page.browser.current_url.endswith("/deployments/gate-watch"))
    spec = page.server.services.fleet.get_deployment("gate-watch")["spec"]
    assert (spec["version"], spec["classes"]) == ("1.1.0", ["boat"])
    assert spec["nodeSelector"] == {"matchLabels": {"quay": "south"}}
    assert page.complaints() == []


def test_a_mistake_in_the_form_is_told_beside_it_and_nothing_is_stored(page: Page) -> None:
    page.open("/deploy")
    page.type("#name", "watch")
    page.type("#deadline", "soon")
    page.until(lambda: "deadline" in page.text("#form-error").lower())
    page.click("#apply")
    page.type("#deadline", "300ms")
    page.until(lambda: page.text("#form-error") == "")
    page.type("#name", DEPLOYMENT)
    page.click("#apply")
    page.until(lambda: "already" in page.text("#form-error"))
    assert page.server.services.fleet.get_deployment(DEPLOYMENT)["spec"]["version"] == "1.0.0"


def test_a_deployment_is_rolled_forward_and_its_boxes_are_seen_to_follow(page: Page) -> None:
    page.open(f"/deployments/{DEPLOYMENT}")
    page.click("[data-dialog=move-1]")
    page.click("#move-1 .primary")
    page.until(
        lambda: "waiting" in page.text("[data-box=north-quay]") or "updating" in page.text("[data-box=north-quay]")
    )
    spec = page.server.services.fleet.get_deployment(DEPLOYMENT)["spec"]
    assert (spec["version"], spec["offload"]["uplink"]) == ("1.1.0", "8Mbit/s")
    for name in ("north-quay", "south-quay", "cloud-1"):
        page.server.fleet.runs[name] = harbour_next().digest
    page.until(lambda: "all of 3 boxes run harbour 1.1.0" in page.text())
    assert "Roll back" in page.text()


def test_editing_keeps_what_is_typed_and_refuses_what_somebody_else_changed_meanwhile(page: Page) -> None:
    page.open(f"/deployments/{DEPLOYMENT}/edit")
    page.type("#deadline", "400ms")
    fleet = page.server.services.fleet
    stored = fleet.get_deployment(DEPLOYMENT)
    fleet.apply_deployment(DEPLOYMENT, {"spec": {**stored["spec"], "minScore": 0.5}})
    page.server.fleet.tick()
    assert page.find("#deadline").get_attribute("value") == "400ms"
    page.click("#apply")
    page.until(lambda: "changed" in page.text("#form-error"))
    assert fleet.get_deployment(DEPLOYMENT)["spec"]["objective"]["deadline"] == "250ms"


def test_deleting_asks_for_the_name(page: Page) -> None:
    page.open(f"/deployments/{DEPLOYMENT}")
    page.click("[data-dialog=delete]")
    assert not page.find("#delete .primary").is_enabled()
    page.find("#delete-typed").send_keys(DEPLOYMENT)
    page.click("#delete .primary")
    page.until(lambda: page.browser.current_url.endswith("/deployments"))
    page.until(lambda: "Nothing is deployed" in page.text())


# ---- releases ----


def test_two_releases_are_compared_down_to_their_graphs(page: Page) -> None:
    page.open("/models/harbour")
    page.click("main form .button")
    page.until(lambda: page.find("#operators"))
    assert "+0.010 better" in page.text("#figures")
    assert "buoy" in page.text("#classes")
    assert "Identity" in page.text("#operators")


def test_a_release_shows_its_card_and_then_its_graph(page: Page) -> None:
    page.open("/releases/harbour-1-0-0")
    assert "0.922" in page.text(".prose")
    page.until(lambda: "opset 17" in page.text())
    assert not page.find("[data-dialog=delete]").is_enabled()


# ---- events ----


def test_events_are_filtered_page_by_page_and_come_by_themselves(page: Page) -> None:
    page.open("/events")
    page.choose("[name=kind]", "detection")
    page.until(lambda: "kind=detection" in page.browser.current_url and not page.find("[data-kind=change]"))
    first = page.find(".events li").text
    page.click("[rel=next]")
    page.until(lambda: page.find(".events li") and page.find(".events li").text != first)
    page.open("/events")
    page.choose("[name=camera]", "gate")
    page.choose("[name=label]", "boat")
    page.until(lambda: "label=boat" in page.browser.current_url and not page.find("[data-kind=camera]"))
    office.events(page.server.fleet, 1)
    assert all("boat" in each.text for each in page.browser.find_elements("css selector", ".events li"))
    page.open("/events?minScore=0.99")
    page.until(lambda: "Nothing fits" in page.text())


# ---- people and tokens ----


def test_an_api_token_is_made_shown_once_and_revoked(page: Page) -> None:
    page.open("/tokens/api")
    page.click("[data-dialog=new]")
    page.type("#token-name", "ci")
    page.click("#new .primary")
    token = page.until(lambda: page.text("#made-text"))
    page.click("#made .primary")
    page.until(lambda: "ci" in page.text())
    assert page.server.services.identity.user_of_bearer(token).name == "ci"
    assert token not in page.browser.page_source
    (made,) = [row for row in page.server.services.identity.api_tokens() if row.name == "ci"]
    page.click(f'[data-dialog="revoke-{made.id}"]')
    page.click(f"#revoke-{made.id} .primary")
    page.until(lambda: not page.find(f'[data-dialog="revoke-{made.id}"]'))
    assert made.id not in [row.id for row in page.server.services.identity.api_tokens()]
    assert page.complaints() == []


def test_a_box_is_let_in_by_a_command_to_copy(page: Page) -> None:
    page.open("/tokens")
    page.click("[data-dialog=new]")
    page.type("#labels", "site=yard, gpu")
    page.click("#new .primary")
    command = page.until(lambda: page.text("#made-text"))
    assert command.startswith("longshore-agent join http")
    assert " --token LS1." in command
    assert {"site": "yard", "gpu": ""} in [dict(each.labels) for each in page.server.services.identity.join_tokens()]


def test_somebody_is_invited_and_given_another_role(page: Page) -> None:
    page.open("/people")
    page.click("[data-dialog=invite]")
    page.type("#person-name", "cleo")
    page.choose("#person-role", "operator")
    page.click("#invite .primary")
    link = page.until(lambda: page.text("#made-text"))
    assert "/signin?code=" in link
    page.click("#made .primary")
    page.until(lambda: "cleo" in page.text())
    assert page.server.services.people.person("cleo").role == "operator"


# ---- settings ----


def test_settings_are_applied_and_what_is_wrong_is_told(page: Page) -> None:
    page.open("/settings")
    page.type("#detections", "a while")
    page.click("main form .primary")
    page.until(lambda: "retention" in page.text(".form-error"))
    page.type("#detections", "3d")
    page.click("main form .primary")
    page.until(lambda: page.server.services.settings.get("fleet")["spec"]["detections"]["retention"] == "3d")


# ---- runs ----


def test_a_run_is_started_from_a_recipe_and_cancelled(page: Page) -> None:
    page.open("/runs")
    page.click("main a.primary")
    page.until(lambda: page.find('a[href="/train?recipe=harbour"]')).click()
    page.until(lambda: page.find("#set-epochs"))
    page.type("#set-epochs", "two")
    page.click("main form .primary")
    page.until(lambda: page.text(".form-error"))
    page.type("#set-epochs", "2")
    page.click("#set-half")
    page.type("#model", "boats")
    page.click("main form .primary")
    page.until(lambda: page.browser.current_url.endswith("/runs/harbour-1"))
    run = page.server.services.training.run("harbour-1")
    assert (run.model, run.settings["epochs"], run.settings["half"]) == ("boats", 2, False)
    run_data.tick(page.server.services, 3)
    job = page.server.executor.jobs["harbour-1"]
    run_data.tell(job, 120)
    run_data.tick(page.server.services)
    page.until(lambda: "step 120 of 400" in page.text())
    page.until(lambda: page.find('[data-plot="plot.loss"] path'))
    page.until(lambda: "step 110: loss" in page.text("#run-log"))
    page.click("[data-dialog=cancel]")
    page.click("#cancel .primary")
    page.until(lambda: "Cancelling" in page.text())
    job.look = replace(job.look, state=State.ENDED, code=143)
    run_data.tick(page.server.services)
    page.until(lambda: "Cancelled" in page.text(".card-head .pill"))
    assert page.find("[data-dialog=delete]")


def test_where_training_cannot_run_the_page_says_why_instead_of_failing(page: Page) -> None:
    full = "the disk has room for 1.2 GiB, and training needs 6 GiB"
    page.server.executor.told = Trainer("local", can_train=False, ready=False, message=full, remedy="free some")
    page.open("/train?recipe=harbour")
    assert not page.find("main form .primary").is_enabled()
    assert "room for 1.2 GiB" in page.text("#cannot")
    assert "free some" in page.text("#cannot")
