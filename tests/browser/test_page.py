"""The page as a person meets it."""

from __future__ import annotations

import urllib.request
from typing import Any

import pytest

from controlplane.identity.roles import Role
from controlplane.ingest.domain import Kind
from controlplane.ui import routes, shell, stream
from controlplane.ui.page import View
from protos.errors import Retryable
from tests.sim.page_server import PageServer
from tests.sim.person import complaints, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def find(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def text(browser: Any, key: str) -> str:
    return until(browser, lambda: (str(find(browser, f'[data-text="{key}"]').text),))[0]


def sign_in(browser: Any, server: PageServer) -> None:
    browser.get(server.sign_in_link())
    find(browser, "button").click()
    until(browser, lambda: find(browser, "#link-text").text == "live")


def narrow(browser: Any, width: int, scheme: str = "light") -> None:
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme_feature = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme_feature})


def test_fetching_a_sign_in_link_does_not_burn_it_and_using_it_twice_is_refused(
    browser: Any, empty_server: PageServer
) -> None:
    link = empty_server.sign_in_link()
    for _ in range(3):
        with urllib.request.urlopen(link) as prefetched:
            assert prefetched.status == 200
    browser.get(link)
    find(browser, "button").click()
    until(browser, lambda: "No box has joined yet" in find(browser, "main").text)
    browser.delete_all_cookies()
    browser.get(link)
    find(browser, "button").click()
    until(browser, lambda: "used" in find(browser, "main").text)
    browser.get(empty_server.url)
    assert browser.current_url.endswith("/signin")


def test_an_empty_fleet_shows_the_next_command(browser: Any, empty_server: PageServer) -> None:
    sign_in(browser, empty_server)
    until(browser, lambda: "longshore token create" in find(browser, ".empty").text)


def test_a_box_that_joins_appears_without_reloading(browser: Any, empty_server: PageServer) -> None:
    sign_in(browser, empty_server)
    browser.execute_script("window.notReloaded = true")
    empty_server.fleet.join()
    empty_server.fleet.tick()
    until(browser, lambda: find(browser, '[data-node="north-quay"]').get_attribute("data-is") == "online")
    assert browser.execute_script("return window.notReloaded") is True


def test_figures_and_pictures_stay_alive(browser: Any, server: PageServer) -> None:
    sign_in(browser, server)
    first = until(browser, lambda: find(browser, '[data-camera="crane"] img[data-number]').get_attribute("data-number"))
    latency = text(browser, "camera.crane.p95") + text(browser, "all.p95") + text(browser, "node.north-quay.cpu")

    def newer() -> bool:
        return bool(find(browser, '[data-camera="crane"] img').get_attribute("data-number") != first)

    def changed() -> bool:
        now = text(browser, "camera.crane.p95") + text(browser, "all.p95") + text(browser, "node.north-quay.cpu")
        return now != latency

    until(browser, newer)
    until(browser, changed)
    drawn = browser.execute_script("return document.querySelector('[data-camera=crane] img').naturalWidth")
    assert drawn == 640
    assert complaints(browser) == []


def test_a_button_that_is_held_down_stays_where_it_is_until_it_is_let_go(browser: Any, server: PageServer) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    sign_in(browser, server)
    browser.execute_script("document.getElementById('board').dataset.old = 'yes'")
    ActionChains(browser).click_and_hold(browser.find_element("link text", "Table")).perform()
    browser.execute_script(
        "const ask = fetch; window.fetched = 0;"
        "window.fetch = async (...all) => { const answer = await ask(...all); window.fetched += 1; return answer; };"
    )
    add_camera(server)
    until(browser, lambda: browser.execute_script("return window.fetched") > 0)
    browser.execute_async_script("setTimeout(arguments[0], 300)")
    assert browser.execute_script("return document.getElementById('board').dataset.old") == "yes"
    ActionChains(browser).release().perform()
    until(browser, lambda: browser.find_elements("css selector", "tr[data-node]"))


def test_dialogs_of_what_came_while_one_was_open_are_there_when_it_is_closed(browser: Any, server: PageServer) -> None:
    sign_in(browser, server)
    identity = server.services.identity
    browser.get(server.url + "/tokens/api")
    until(browser, lambda: browser.find_elements("css selector", "#link[data-is=live]"))
    browser.find_element("css selector", "[data-dialog=new]").click()
    browser.find_element("id", "token-name").send_keys("half a na")
    identity.create_api_token("later", person=None, role=Role.VIEWER)
    (made,) = [each.id for each in identity.api_tokens() if each.name == "later"]
    until(browser, lambda: browser.find_elements("css selector", f'[data-dialog="revoke-{made}"]'))
    assert browser.find_element("id", "token-name").get_attribute("value") == "half a na", "nobody loses what they type"
    browser.find_element("css selector", "#new [data-close]").click()
    until(browser, lambda: browser.find_elements("id", f"revoke-{made}"))
    until(browser, lambda: browser.find_element("css selector", f'[data-dialog="revoke-{made}"]').click() or True)
    until(browser, lambda: browser.find_element("id", f"revoke-{made}").is_displayed())


def test_a_button_held_by_the_keyboard_stays_and_a_menu_that_was_opened_stops_nothing(
    browser: Any, server: PageServer
) -> None:
    sign_in(browser, server)
    browser.execute_script(
        "document.getElementById('board').dataset.old = 'yes';"
        "dispatchEvent(new KeyboardEvent('keydown', {key: ' '}));"
        "const ask = fetch; window.fetched = 0;"
        "window.fetch = async (...all) => { const answer = await ask(...all); window.fetched += 1; return answer; };"
    )
    add_camera(server)
    until(browser, lambda: browser.execute_script("return window.fetched") > 0)
    browser.execute_async_script("setTimeout(arguments[0], 300)")
    assert browser.execute_script("return document.getElementById('board').dataset.old") == "yes"
    browser.execute_script(
        "dispatchEvent(new KeyboardEvent('keyup', {key: ' '}));"
        "setTimeout(() => dispatchEvent(new PointerEvent('pointerdown', {button: 2})), 10);"
    )
    until(browser, lambda: browser.find_elements("css selector", '[data-camera="slipway"]'))


def test_who_is_on_a_link_stays_on_it_when_the_page_is_renewed(browser: Any, server: PageServer) -> None:
    sign_in(browser, server)
    browser.execute_script("arguments[0].focus()", browser.find_element("link text", "Table"))
    browser.execute_script("document.getElementById('board').dataset.old = 'yes'")
    add_camera(server)
    until(browser, lambda: browser.execute_script("return !document.getElementById('board').dataset.old"))
    assert browser.execute_script("return document.activeElement.textContent") == "Table"


# ---- hiccups ----


class Hiccup:
    """The control plane can't render its page while this is on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = False

        def hiccupping(view: View, base_url: str, role: Role) -> str:
            if self.on:
                raise Retryable("the database is away or too busy; nothing was stored, try again")
            return shell.render(view, base_url, role)

        monkeypatch.setattr(routes, "render", hiccupping)


def add_camera(server: PageServer) -> None:
    spec = {"node": "south-quay", "source": "synthetic://harbour?seed=5"}
    server.services.fleet.apply_camera("slipway", {"spec": spec})


def test_a_hiccup_during_a_rebuild_keeps_the_page_and_is_got_over(
    browser: Any, server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hiccup = Hiccup(monkeypatch)
    sign_in(browser, server)
    browser.execute_script("window.notReloaded = true")
    hiccup.on = True
    add_camera(server)
    until(browser, lambda: find(browser, "#link-text").text == "reconnecting")
    until(browser, lambda: find(browser, '[data-camera="gate"]').is_displayed())
    hiccup.on = False
    until(browser, lambda: browser.find_elements("css selector", '[data-camera="slipway"]'))
    until(browser, lambda: find(browser, "#link-text").text == "live")
    assert browser.execute_script("return window.notReloaded") is True


def test_a_rebuild_that_finds_nobody_is_tried_again(browser: Any, server: PageServer) -> None:
    sign_in(browser, server)
    browser.execute_script(
        "const ask = fetch; window.away = true;"
        "window.fetch = (url, ...more) => url === '/' && window.away ? Promise.reject(new TypeError('Failed to fetch'))"
        " : ask(url, ...more);"
    )
    add_camera(server)
    until(browser, lambda: find(browser, "#link-text").text == "reconnecting")
    browser.execute_script("window.away = false")
    until(browser, lambda: browser.find_elements("css selector", '[data-camera="slipway"]'))
    until(browser, lambda: find(browser, "#link-text").text == "live")


def test_who_is_signed_out_elsewhere_goes_to_sign_in(
    browser: Any, server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RECHECK_SECONDS", 1.0)
    sign_in(browser, server)
    (cookie,) = browser.get_cookies()
    server.services.identity.sign_out(cookie["value"])
    until(browser, lambda: browser.current_url.endswith("/signin"))


def test_what_went_wrong_stands_where_it_did(browser: Any, server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(browser, server)
    server.fleet.refuses["south-quay"] = "variant cpu-fp32 is no ONNX file"
    gap = {"record_class": "frame", "first_seq": 1, "last_seq": 9, "dropped": 7, "reason": "the outbox was full"}
    server.fleet.say("north-quay", Kind.GAP, gap)
    why = "the broker at 127.0.0.1:8883 does not take us"
    monkeypatch.setattr(type(server.services.telemetry), "trouble", why)
    until(browser, lambda: "no ONNX file" in find(browser, '[data-node="south-quay"] .runs li').text)
    until(browser, lambda: "7 detections lost" in find(browser, '[data-node="north-quay"]').text)
    until(browser, lambda: why in text(browser, "fleet.trouble"))
    assert complaints(browser) == []


def test_the_chart_stacks_outcomes_in_the_order_of_the_legend(browser: Any, server: PageServer) -> None:
    server.fleet.history(minutes=5)
    sign_in(browser, server)
    script = (
        "const order = [...document.querySelectorAll('.legend li')].map((item) => item.dataset.series);"
        "return [...document.querySelectorAll('.chart .column')].map((column) =>"
        " [...column.querySelectorAll('rect:not(.hit)')].map((part) => order.indexOf(part.getAttribute('class'))))"
    )
    columns = until(browser, lambda: browser.execute_script(script))
    assert all(column == sorted(column) and -1 not in column for column in columns)
    assert max(map(len, columns)) >= 3


def test_the_chart_has_a_column_for_each_step(browser: Any, server: PageServer) -> None:
    sign_in(browser, server)
    columns = until(browser, lambda: browser.find_elements("css selector", ".chart .column"))
    assert len(columns) == 60


def test_nothing_has_to_be_scrolled_sideways(browser: Any, server: PageServer) -> None:
    server.fleet.broken["berth"] = "rtsp://***@10.0.0.9/a-very-long-path-to-a-stream/that-has-no-end: timed out"
    sign_in(browser, server)
    until(browser, lambda: text(browser, "camera.berth.shown") == "retrying")
    for width, scheme in ((390, "light"), (768, "dark"), (1440, "light"), (390, "dark")):
        narrow(browser, width, scheme)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert complaints(browser) == []


def test_the_slow_down_switch_changes_the_box_and_shows_what_is_stored(browser: Any, server: PageServer) -> None:
    sign_in(browser, server)

    def stored() -> str:
        return str(server.services.fleet.get_node("north-quay")["spec"]["slowDown"])

    def switch() -> Any:
        return find(browser, '[data-slow-down="north-quay"]')

    labels = server.services.fleet.get_node("north-quay")["metadata"]["labels"]
    until(browser, lambda: find(browser, '[data-node="north-quay"] .switch').click() or True)
    until(browser, lambda: stored() == "300ms")
    until(browser, lambda: switch().is_selected())
    until(browser, lambda: float(text(browser, "camera.crane.inCloud")) > 10)
    until(browser, lambda: find(browser, '[data-node="north-quay"] .switch').click() or True)
    until(browser, lambda: stored() == "0s")
    assert server.services.fleet.get_node("north-quay")["metadata"]["labels"] == labels
    assert complaints(browser) == []


def test_a_switch_that_somebody_else_turned_turns_here_too(browser: Any, server: PageServer) -> None:
    sign_in(browser, server)
    node = server.services.fleet.get_node("south-quay")
    body = {"metadata": {"labels": node["metadata"]["labels"]}, "spec": {**node["spec"], "slowDown": "150ms"}}
    server.services.fleet.apply_node("south-quay", body)
    until(browser, lambda: find(browser, '[data-slow-down="south-quay"]').is_selected())
    until(browser, lambda: text(browser, "node.south-quay.slowBy") == "150ms")


def test_a_broken_camera_says_why_and_a_silent_box_is_told_apart(browser: Any, server: PageServer) -> None:
    sign_in(browser, server)
    server.fleet.broken["gate"] = "connection refused; is the camera on?"
    server.fleet.offline.add("cloud-1")
    server.services.boxes.presence("cloud-1", online=False, boot_id="boot-1")
    until(browser, lambda: "connection refused" in text(browser, "camera.gate.why"))
    script = (
        "return [...document.querySelectorAll('[data-none] + .unit')].map((each) => getComputedStyle(each).display)"
    )
    until(browser, lambda: set(browser.execute_script(script)) == {"none"})
    until(browser, lambda: find(browser, '[data-node="cloud-1"]').get_attribute("data-is") == "offline")
    until(browser, lambda: "2 of 3 boxes online" in find(browser, ".mood").text)


def test_a_note_on_a_camera_is_shown(browser: Any, server: PageServer) -> None:
    sign_in(browser, server)
    until(browser, lambda: "no RTSP server on this machine" in find(browser, '[data-camera="berth"] .note').text)


def test_signing_out_ends_the_session(browser: Any, server: PageServer) -> None:
    sign_in(browser, server)
    find(browser, ".side form button").click()
    browser.get(server.url)
    assert browser.current_url.endswith("/signin")
