"""What people do on the pages of boxes and cameras, with mouse and keyboard."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.fleet.reports import DecisionReport
from tests.sim.page_server import PageServer
from tests.sim.person import Person
from tests.sim.screenshots import emulate

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture
def person(browser: Any, server: PageServer) -> Person:
    return Person(browser, server)


STAGE = (
    "const at = document.querySelector('.zone-stage svg').getBoundingClientRect();"
    "return [at.x, at.y, at.width, at.height]"
)


def zones(person: Person, camera: str = "gate") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = person.server.services.fleet.get_camera(camera)["spec"]["zones"]
    return found


def test_a_zone_is_drawn_with_the_mouse_named_and_kept(person: Person) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    person.open("/cameras/gate")
    person.click('[data-dialog="zones"]')
    stage = person.until(lambda: (found := person.find(".zone-stage svg")) and found.size["height"] > 200 and found)
    wide, high = stage.size["width"], stage.size["height"]
    corners = [(0.2, 0.3), (0.6, 0.3), (0.6, 0.8), (0.2, 0.8), (0.2, 0.3)]  # the last closes it
    for x, y in corners:
        ActionChains(person.browser).move_to_element_with_offset(
            stage, int((x - 0.5) * wide), int((y - 0.5) * high)
        ).click().perform()
    person.type(".zone-list input", "water")
    person.click("#zone-form .primary")
    person.until(lambda: zones(person))
    stored = zones(person)[0]
    assert stored["name"] == "water"
    assert [(pytest.approx(x, abs=0.02), pytest.approx(y, abs=0.02)) for x, y in corners[:-1]] == [
        (x, y) for x, y in stored["points"]
    ]
    assert person.complaints() == []


def test_a_zone_is_drawn_and_moved_by_a_finger_on_a_phone(person: Person) -> None:
    browser = person.browser
    emulate(browser, 390)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        person.open("/cameras/gate")
        person.click('[data-dialog="zones"]')
        person.until(lambda: (found := person.find(".zone-stage svg")) and found.size["height"] > 100)

        def touch(kind: str, *at: tuple[float, float]) -> None:
            left, top, wide, high = browser.execute_script(STAGE)  # the dialog grows with its list
            points = [{"x": left + x * wide, "y": top + y * high} for x, y in at]
            browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        for corner in [(0.2, 0.2), (0.7, 0.2), (0.7, 0.8), (0.2, 0.2)]:  # the last closes it
            touch("touchStart", corner)
            touch("touchEnd")
        person.until(lambda: person.find('[data-corner="2"]'))
        touch("touchStart", (0.7, 0.8))
        touch("touchMove", (0.6, 0.7))
        touch("touchMove", (0.5, 0.6))
        touch("touchEnd")
        person.click("#zone-form .primary")
        person.until(lambda: zones(person))
    finally:
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert [pytest.approx(each, abs=0.04) for each in ([0.2, 0.2], [0.7, 0.2], [0.5, 0.6])] == zones(person)[0][
        "points"
    ]


def test_a_line_is_done_with_its_second_point_and_can_be_turned_round(person: Person) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    person.open("/cameras/gate")
    person.click('[data-dialog="lines"]')
    stage = person.until(
        lambda: (found := person.find("#lines .zone-stage svg")) and found.size["height"] > 200 and found
    )
    wide, high = stage.size["width"], stage.size["height"]
    for x, y in ((0.2, 0.8), (0.7, 0.4)):
        ActionChains(person.browser).move_to_element_with_offset(
            stage, int((x - 0.5) * wide), int((y - 0.5) * high)
        ).click().perform()
    person.type("#lines .zone-list input", "mouth")
    person.press('#lines [data-corner="0"]', Keys.DELETE)  # a line has two ends: nothing is taken away
    person.click("#lines .zone-list .button:not(.danger)")
    person.click("#line-form .primary")
    fleet = person.server.services.fleet
    person.until(lambda: fleet.get_camera("gate")["spec"]["lines"])
    (line,) = fleet.get_camera("gate")["spec"]["lines"]
    assert line["name"] == "mouth"
    assert [pytest.approx(each, abs=0.02) for each in ([0.7, 0.4], [0.2, 0.8])] == line["points"]
    assert person.complaints() == []


def test_a_zone_is_made_and_moved_by_the_keyboard_alone(person: Person) -> None:
    from selenium.webdriver.common.keys import Keys

    person.open("/cameras/gate")
    person.click('[data-dialog="zones"]')
    person.click("#zones .add-zone")
    person.press('[data-corner="0"]', Keys.ARROW_RIGHT)
    person.press('[data-corner="0"]', Keys.SHIFT, Keys.ARROW_DOWN)
    person.press('[data-corner="2"]', Keys.DELETE)
    person.click("#zone-form .primary")
    person.until(lambda: zones(person))
    assert zones(person)[0]["points"] == [[0.31, 0.35], [0.7, 0.3], [0.3, 0.7]]


def test_a_mask_is_made_as_a_zone_is_and_the_gate_is_a_switch_of_the_camera(person: Person) -> None:
    person.open("/cameras/gate")
    person.click('[data-dialog="masks"]')
    person.click("#masks .add-zone")
    person.click("#mask-form .primary")
    fleet = person.server.services.fleet
    person.until(lambda: fleet.get_camera("gate")["spec"]["masks"])
    person.open("/cameras/gate")
    person.click('[data-dialog="edit-camera"]')
    person.click("#edit-camera .switch")
    person.click("#edit-camera .primary")
    person.until(lambda: fleet.get_camera("gate")["spec"]["motion"]["gate"])
    spec = fleet.get_camera("gate")["spec"]
    assert [mask["name"] for mask in spec["masks"]] == ["mask-1"]
    assert (spec["zones"], spec["motion"]["every"]) == ([], "10s")


def test_a_camera_is_added_changed_and_deleted(person: Person) -> None:
    fleet = person.server.services.fleet
    person.open("/nodes/south-quay")
    person.click('[data-dialog="add-camera"]')
    person.type("#new-camera", "yard")
    person.type("#new-camera-source", "rtsp://viewer:secret@10.0.0.7/live")
    person.click("#add-camera .primary")
    person.until(lambda: person.browser.current_url.endswith("/cameras/yard"))
    assert fleet.get_camera("yard")["spec"]["node"] == "south-quay"
    assert "secret" not in person.browser.page_source
    person.click('[data-dialog="edit-camera"]')
    person.type("#edit-rate", "5")
    person.click("#edit-camera .primary")
    person.until(lambda: fleet.get_camera("yard")["spec"]["rate"] == 5)
    person.until(lambda: not person.find("dialog[open]") and "5.0 frames a second" in person.text())
    person.click('[data-dialog="delete-camera"]')
    person.type("#delete-camera input", "yard")
    person.click("#delete-camera .danger")
    person.until(lambda: person.browser.current_url.endswith("/cameras"))
    assert "yard" not in {each["metadata"]["name"] for each in fleet.list_cameras()}


def test_a_refused_change_says_why_beside_the_form(person: Person) -> None:
    person.open("/cameras/gate")
    person.click('[data-dialog="edit-camera"]')
    person.type("#edit-source", "ftp://nowhere")
    person.click("#edit-camera .primary")
    person.until(lambda: "rtsp" in person.text("#edit-camera .form-error"))
    assert person.server.services.fleet.get_camera("gate")["spec"]["source"] != "ftp://nowhere"


def test_a_box_is_paused_labelled_and_shows_moving_pictures(person: Person) -> None:
    fleet = person.server.services.fleet
    person.open("/nodes/north-quay")
    first = person.until(lambda: person.of(".camera img", "src"))
    person.until(lambda: person.of(".camera img", "src") != first)
    person.click("[data-pause]")
    person.until(lambda: fleet.get_node("north-quay")["spec"]["paused"])
    person.until(lambda: person.find('[data-pause][data-paused="yes"]'))
    person.click('[data-dialog="edit-labels"]')
    person.type("#labels", "site=harbour quay=east")
    person.click("#edit-labels .primary")
    person.until(lambda: fleet.get_node("north-quay")["metadata"]["labels"].get("quay") == "east")
    assert person.complaints() == []


def test_how_a_box_decides_is_shown_as_it_changes(person: Person) -> None:
    fleet = person.server.fleet
    calm = DecisionReport(60, local=1.0, load=0.4, rung="cpu", why="the box is asked for 40 % of what it can infer")
    fleet.decisions["north-quay"] = calm
    fleet.report()
    person.open("/nodes/north-quay")
    place = '[data-decides="harbour-watch"]'
    person.until(lambda: "40 % of what it can infer" in person.text(place))
    assert "on its CPU" in person.text(place)
    fleet.decisions["north-quay"] = DecisionReport(
        60, local=0.4, cloud=0.5, shed=0.1, load=2.5, bits_per_second=3e6, rtt_seconds=0.04, bits_left=9e6,
        prices={"bits": 0.25}, rung="cloud", why="the box is asked for 250 % of what it can infer: 50 % is sent",
    )  # fmt: skip
    fleet.report()
    person.until(lambda: "50 % is sent" in person.text(place))
    told = person.text(place)
    assert all(each in told for each in ("the cloud answers", "250 %", "3.0 Mbit/s, 40 ms", "Mbit 0.25", "9.0 Mbit"))
    person.until(lambda: person.find(f"{place} .bar .ok_cloud"))
    over = "decided.harbour-watch"
    person.until(lambda: person.find(f'[data-chart="{over}.uplink"] .limit'))
    person.until(lambda: person.find(f'[data-chart="{over}.pace"] path.line'))
    person.until(lambda: person.find(f'[data-chart="{over}.routes"] .ok_cloud'))
    assert "small" not in person.text(f'.chart-box:has([data-chart="{over}.routes"]) .legend')
    person.point(f'[data-chart="{over}.rung"] .rung-cloud')
    person.until(
        lambda: "No engine runs on this box" in person.text(f'.chart-box:has([data-chart="{over}.rung"]) .tip')
    )
    person.click(f'[data-table="{over}.routes"] summary')
    told = person.text(f'[data-table="{over}.routes"] table')
    assert all(
        each in told for each in ("Where frames went: cloud, frames/s", "the cloud answers", "Load: asked for, %")
    )
    assert person.complaints() == []


def test_a_box_is_deleted_only_when_its_name_is_typed(person: Person) -> None:
    fleet = person.server.services.fleet
    person.open("/nodes/south-quay")
    person.click('[data-dialog="delete-node"]')
    person.type("#delete-node input", "south")
    person.click("#delete-node .danger")
    assert "south-quay" in {each["metadata"]["name"] for each in fleet.list_nodes()}
    person.type("#delete-node input", "south-quay")
    person.click("#delete-node .danger")
    person.until(lambda: "south-quay" not in {each["metadata"]["name"] for each in fleet.list_nodes()})
