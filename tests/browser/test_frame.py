"""The frame around every page: theme, drawer, skip link, filters that stand in the address."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.page_server import PageServer
from tests.sim.person import until
from tests.sim.screenshots import emulate, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture
def page(browser: Any, server: PageServer) -> Any:
    """A signed-in browser on the first page."""
    sign_in(browser, server)
    until(browser, lambda: browser.find_elements("css selector", "#link[data-is=live]"))
    return browser


def ground(browser: Any) -> str:
    return str(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))


def names(browser: Any) -> list[str]:
    script = "return [...document.querySelectorAll('[data-node]')].map((each) => each.dataset.node)"
    found: list[str] = browser.execute_script(script)
    return found


def test_a_theme_is_chosen_against_the_system_and_remembered(page: Any) -> None:
    emulate(page, 1440, "dark")
    dark = ground(page)
    page.find_element("id", "theme").click()
    assert page.find_element("id", "theme-word").text == "light"
    assert ground(page) != dark
    page.refresh()
    assert page.find_element("id", "theme-word").text == "light"
    assert ground(page) != dark
    page.find_element("id", "theme").click()
    page.find_element("id", "theme").click()
    assert page.find_element("id", "theme-word").text == "system"
    assert ground(page) == dark


def test_on_a_phone_the_navigation_is_a_drawer_that_escape_closes(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    emulate(page, 390)
    link, menu = page.find_element("css selector", ".sections a"), page.find_element("id", "menu")
    assert not link.is_displayed()
    menu.click()
    until(page, link.is_displayed)
    assert menu.get_attribute("aria-expanded") == "true"
    ActionChains(page).send_keys(Keys.ESCAPE).perform()
    until(page, lambda: not link.is_displayed())
    assert page.execute_script("return document.activeElement.id") == "menu"


def test_the_first_tab_skips_the_navigation(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    page.refresh()
    ActionChains(page).send_keys(Keys.TAB).send_keys(Keys.ENTER).perform()
    assert page.execute_script("return document.activeElement.id") == "board"


def test_a_filter_stands_in_the_address_and_typing_goes_on_in_the_new_list(page: Any) -> None:
    until(page, lambda: page.find_element("id", "boxes-q").send_keys("quay=nor") or True)
    until(page, lambda: names(page) == ["north-quay"])
    page.switch_to.active_element.send_keys("th")
    until(page, lambda: "quay%3Dnorth" in page.current_url)
    until(page, lambda: page.find_element("id", "boxes-q").get_attribute("value") == "quay=north")
    page.refresh()
    until(page, lambda: names(page) == ["north-quay"])


def test_boxes_are_shown_as_a_table_and_stay_alive(page: Any, server: PageServer) -> None:
    until(page, lambda: page.find_element("link text", "Table").click() or True)
    until(page, lambda: page.find_elements("css selector", "tr[data-node]"))
    server.fleet.refuses["south-quay"] = "variant cpu-fp32 is no ONNX file"
    failed = 'tr[data-node="south-quay"][data-is="failed"]'
    until(page, lambda: page.find_elements("css selector", failed))
    until(page, lambda: "south-quay" in page.find_element("css selector", ".concerns").text)
