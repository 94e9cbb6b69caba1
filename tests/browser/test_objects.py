"""What people do on the pages of models, deployments, events, people and tokens, as a person does it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from controlplane.training.ports import State, Trainer
from tests.sim import office, run_data
from tests.sim.fleet_data import DEPLOYMENT
from tests.sim.page_server import PageServer, page_server, ticking
from tests.sim.person import Person
from tests.sim.registry_data import harbour_next

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PageServer]:
    with page_server(tmp_path) as made:
        made.fleet.join()
        office.furnish(made.fleet)
        made.fleet.tick()
        with ticking(made.fleet, 1.0):
            yield made


@pytest.fixture
def person(browser: Any, server: PageServer) -> Person:
    return Person(browser, server)


# ---- deployments ----


def test_a_deployment_is_made_with_a_preview_of_what_it_chooses(person: Person) -> None:
    person.open("/deployments")
    person.click("main .head a.primary")
    person.until(lambda: "2 boxes, 3 cameras" in person.text("#preview"))
    person.type("#name", "gate-watch")
    person.click('[data-for="nodeSelector"][data-add="quay=south"]')
    person.until(lambda: "1 box, 1 camera" in person.text("#preview"))
    assert "quay: south" in person.text("#yaml")
    person.click("#classes .chip")
    person.until(lambda: "- boat" in person.text("#yaml"))
    person.click("#apply")
    person.until(lambda: person.browser.current_url.endswith("/deployments/gate-watch"))
    spec = person.server.services.fleet.get_deployment("gate-watch")["spec"]
    assert (spec["version"], spec["classes"]) == ("1.1.0", ["boat"])
    assert spec["nodeSelector"] == {"matchLabels": {"quay": "south"}}
    assert person.complaints() == []


def test_a_mistake_in_the_form_is_told_beside_it_and_nothing_is_stored(person: Person) -> None:
    person.open("/deploy")
    person.type("#name", "watch")
    person.type("#deadline", "soon")
    person.until(lambda: "deadline" in person.text("#form-error").lower())
    person.click("#apply")
    person.type("#deadline", "300ms")
    person.until(lambda: person.text("#form-error") == "")
    person.type("#name", DEPLOYMENT)
    person.click("#apply")
    person.until(lambda: "already" in person.text("#form-error"))
    assert person.server.services.fleet.get_deployment(DEPLOYMENT)["spec"]["version"] == "1.0.0"


def test_a_deployment_is_rolled_forward_and_its_boxes_are_seen_to_follow(person: Person) -> None:
    person.open(f"/deployments/{DEPLOYMENT}")
    person.click("[data-dialog=move-1]")
    person.click("#move-1 .primary")
    person.until(
        lambda: "waiting" in person.text("[data-box=north-quay]") or "updating" in person.text("[data-box=north-quay]")
    )
    spec = person.server.services.fleet.get_deployment(DEPLOYMENT)["spec"]
    assert (spec["version"], spec["offload"]["uplink"]) == ("1.1.0", "8Mbit/s")
    for name in ("north-quay", "south-quay", "cloud-1"):
        person.server.fleet.runs[name] = harbour_next().digest
    person.until(lambda: "all of 3 boxes run harbour 1.1.0" in person.text())
    assert "Roll back" in person.text()


def test_editing_keeps_what_is_typed_and_refuses_what_somebody_else_changed_meanwhile(person: Person) -> None:
    person.open(f"/deployments/{DEPLOYMENT}/edit")
    person.type("#deadline", "400ms")
    fleet = person.server.services.fleet
    stored = fleet.get_deployment(DEPLOYMENT)
    fleet.apply_deployment(DEPLOYMENT, {"spec": {**stored["spec"], "minScore": 0.5}})
    person.server.fleet.tick()
    assert person.of("#deadline", "value") == "400ms"
    person.click("#apply")
    person.until(lambda: "changed" in person.text("#form-error"))
    assert fleet.get_deployment(DEPLOYMENT)["spec"]["objective"]["deadline"] == "250ms"


def test_deleting_asks_for_the_name(person: Person) -> None:
    person.open(f"/deployments/{DEPLOYMENT}")
    person.click("[data-dialog=delete]")
    assert not person.can_use("#delete .primary")
    person.type("#delete-typed", DEPLOYMENT)
    person.click("#delete .primary")
    person.until(lambda: person.browser.current_url.endswith("/deployments"))
    person.until(lambda: "Nothing is deployed" in person.text())


def test_moments_are_those_of_the_readers_clock(person: Person) -> None:
    browser = person.browser
    office.events(person.server.fleet, 1)
    person.open("/events?since=1h")
    at = person.of(".events [data-local=time]", "data-at")
    utc = datetime.fromisoformat(at)
    try:
        for zone in ("Asia/Tokyo", "UTC"):
            browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": zone})
            person.open("/events?since=1h")
            there = utc.astimezone(ZoneInfo(zone))
            shown = person.until(lambda: [each for each in person.texts(".events [data-local=time]") if each])
            assert there.strftime("%H:%M:%S") in shown
            assert zone in person.text(".head")
    finally:
        browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


# ---- releases ----


def test_two_releases_are_compared_down_to_their_graphs(person: Person) -> None:
    person.open("/models/harbour")
    person.click("main form .button")
    person.until(lambda: person.find("#operators"))
    assert "+0.010 better" in person.text("#figures")
    assert "buoy" in person.text("#classes")
    assert "Identity" in person.text("#operators")


def test_a_release_shows_its_card_and_then_its_graph(person: Person) -> None:
    person.open("/releases/harbour-1-0-0")
    assert "0.922" in person.text(".prose")
    person.until(lambda: "opset 17" in person.text())
    assert not person.can_use("[data-dialog=delete]")


# ---- events ----


def test_events_are_filtered_page_by_page_and_come_by_themselves(person: Person) -> None:
    person.open("/events")
    person.choose("[name=kind]", "detection")
    person.until(lambda: "kind=detection" in person.browser.current_url and not person.find("[data-kind=change]"))
    first = person.text(".events li")
    person.click("[rel=next]")
    person.until(lambda: person.text(".events li") not in ("", first))
    person.open("/events")
    person.choose("[name=camera]", "gate")
    person.choose("[name=label]", "boat")
    person.until(lambda: "label=boat" in person.browser.current_url and not person.find("[data-kind=camera]"))
    office.events(person.server.fleet, 1)
    person.until(
        lambda: all("boat" in each.text for each in person.browser.find_elements("css selector", ".events li"))
    )
    person.open("/events?minScore=0.99")
    person.until(lambda: "Nothing fits" in person.text())


# ---- people and tokens ----


def test_an_api_token_is_made_shown_once_and_revoked(person: Person) -> None:
    person.open("/tokens/api")
    person.click("[data-dialog=new]")
    person.type("#token-name", "ci")
    person.click("#new .primary")
    token = person.until(lambda: person.text("#made-text"))
    person.click("#made .primary")
    person.until(lambda: "ci" in person.text())
    assert person.server.services.identity.user_of_bearer(token).name == "ci"
    assert token not in person.browser.page_source
    (made,) = [row for row in person.server.services.identity.api_tokens() if row.name == "ci"]
    person.click(f'[data-dialog="revoke-{made.id}"]')
    person.click(f"#revoke-{made.id} .primary")
    person.until(lambda: not person.find(f'[data-dialog="revoke-{made.id}"]'))
    assert made.id not in [row.id for row in person.server.services.identity.api_tokens()]
    assert person.complaints() == []


def test_a_box_is_let_in_by_a_command_to_copy(person: Person) -> None:
    person.open("/tokens")
    person.click("[data-dialog=new]")
    person.type("#labels", "site=yard, gpu")
    person.click("#new .primary")
    command = person.until(lambda: person.text("#made-text"))
    assert command.startswith("longshore-agent join http")
    assert " --token LS1." in command
    assert {"site": "yard", "gpu": ""} in [dict(each.labels) for each in person.server.services.identity.join_tokens()]


def test_somebody_is_invited_and_given_another_role(person: Person) -> None:
    person.open("/people")
    person.click("[data-dialog=invite]")
    person.type("#person-name", "cleo")
    person.choose("#person-role", "operator")
    person.click("#invite .primary")
    link = person.until(lambda: person.text("#made-text"))
    assert "/signin?code=" in link
    person.click("#made .primary")
    person.until(lambda: "cleo" in person.text())
    assert person.server.services.people.person("cleo").role == "operator"


# ---- settings ----


def test_settings_are_applied_and_what_is_wrong_is_told(person: Person) -> None:
    person.open("/settings")
    person.type("#detections", "a while")
    person.click("main form .primary")
    person.until(lambda: "retention" in person.text(".form-error"))
    person.type("#detections", "3d")
    person.click("main form .primary")
    person.until(lambda: person.server.services.settings.get("fleet")["spec"]["detections"]["retention"] == "3d")


# ---- runs ----


def test_a_run_is_started_from_a_recipe_and_cancelled(person: Person) -> None:
    person.open("/runs")
    person.click("main a.primary")
    person.click('a[href="/train?recipe=harbour"]')
    person.until(lambda: person.find("#set-epochs"))
    person.type("#set-epochs", "two")
    person.click("main form .primary")
    person.until(lambda: person.text(".form-error"))
    person.type("#set-epochs", "2")
    person.click("#set-half")
    person.type("#model", "boats")
    person.click("main form .primary")
    person.until(lambda: person.browser.current_url.endswith("/runs/harbour-1"))
    run = person.server.services.training.run("harbour-1")
    assert (run.model, run.settings["epochs"], run.settings["half"]) == ("boats", 2, False)
    run_data.tick(person.server.services, 3)
    job = person.server.executor.jobs["harbour-1"]
    run_data.tell(job, 120)
    run_data.tick(person.server.services)
    person.until(lambda: "step 120 of 400" in person.text())
    person.until(lambda: person.find('[data-plot="plot.loss"] path'))
    person.until(lambda: "step 110: loss" in person.text("#run-log"))
    person.click("[data-dialog=cancel]")
    person.click("#cancel .primary")
    person.until(lambda: "Cancelling" in person.text())
    job.look = replace(job.look, state=State.ENDED, code=143)
    run_data.tick(person.server.services)
    person.until(lambda: "Cancelled" in person.text(".card-head .pill"))
    person.until(lambda: person.find("[data-dialog=delete]"))


def test_where_training_cannot_run_the_page_says_why_instead_of_failing(person: Person) -> None:
    full = "the disk has room for 1.2 GiB, and training needs 6 GiB"
    person.server.executor.told = Trainer("local", can_train=False, ready=False, message=full, remedy="free some")
    person.open("/train?recipe=harbour")
    assert not person.can_use("main form .primary")
    assert "room for 1.2 GiB" in person.text("#cannot")
    assert "free some" in person.text("#cannot")
