"""What holds of every page, in every state, on laptop and phone: it fits, is quiet, and is there for everybody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from typing import Any

import pytest

from tests.servers.chromium import chromium
from tests.sim.page_server import PageServer
from tests.sim.pages import ALL, PAGES, Shown, servers
from tests.sim.screenshots import emulate, open_page, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
VIEWS = [(shown, state) for state in ALL for shown in PAGES if state in shown.states]
views = pytest.mark.parametrize(("shown", "state"), VIEWS, ids=[f"{shown.name}-{state}" for shown, state in VIEWS])
AXE = (resources.files("axe_core_python") / "axe.min.js").read_text()
ASK_AXE = (
    "const done = arguments[arguments.length - 1];"
    "axe.run(document, {resultTypes: ['violations']}).then((found) => done(found.violations"
    ".filter((each) => ['serious', 'critical'].includes(each.impact))"
    ".map((each) => each.id + ': ' + each.nodes.map((node) => node.target.join(' ') + ' ' + node.failureSummary"
    ").join(' | '))), (error) => done(['axe: ' + error]));"
)
# Everything one can act on that is on the page, and how often Tab has to be pressed until each had the focus.
CONTROLS = (
    "return [...document.querySelectorAll('a[href], button, input, select, textarea, [tabindex=\"0\"]')].filter("
    "(each) => !each.disabled && each.checkVisibility({visibilityProperty: true})"
    " && !each.closest('dialog:not([open])') && each.type !== 'hidden'"
    " && !(each.type === 'radio' && !each.checked)).length"
)
FOCUSED = (
    "const at = document.activeElement, style = getComputedStyle(at), track = at.matches('.switch input')"
    " ? getComputedStyle(at.nextElementSibling) : style;"
    "if (at === document.body) return null;"
    "at.dataset.reached = 'yes';"
    "return track.outlineStyle !== 'none' && parseFloat(track.outlineWidth) > 0 ? '' : at.outerHTML.slice(0, 120)"
)


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, PageServer]]:
    with servers(tmp_path_factory.mktemp("pages")) as found:
        yield found


@pytest.fixture(scope="module")
def window(fleets: Mapping[str, PageServer]) -> Iterator[Any]:
    """One browser, signed in everywhere."""
    with chromium() as driver:
        for server in fleets.values():
            sign_in(driver, server)
        driver.get_log("browser")
        yield driver


def test_there_is_something_to_look_at() -> None:
    assert {state for _, state in VIEWS} == set(ALL)


@views
def test_it_fits_is_quiet_and_is_there_for_everybody(
    window: Any, fleets: Mapping[str, PageServer], shown: Shown, state: str
) -> None:
    for width, scheme in ((390, "dark"), (1440, "light")):
        emulate(window, width, scheme)
        open_page(window, fleets[state], shown.path)
        if shown.open:
            window.execute_script(f"document.querySelector({shown.open!r}).click()")
        assert window.execute_script("return document.documentElement.scrollWidth") <= width
        window.execute_script(AXE)
        assert window.execute_async_script(ASK_AXE) == []
    worse = [each["message"] for each in window.get_log("browser") if each["level"] in ("SEVERE", "WARNING")]
    assert worse == []


@views
def test_every_control_is_reached_by_the_keyboard_and_shows_where_one_is(
    window: Any, fleets: Mapping[str, PageServer], shown: Shown, state: str
) -> None:
    if shown.open:
        pytest.skip("a dialog keeps the focus to itself; the page below is another line of the table")
    emulate(window, 1440)
    open_page(window, fleets[state], shown.path)
    with held_still(window):
        controls, reached, unseen = tabbed(window)
        if reached < controls:  # a new main part may have been under way when the wire was cut: it is the last
            controls, reached, unseen = tabbed(window)
    assert unseen == []
    assert reached >= controls


@contextmanager
def held_still(window: Any) -> Iterator[None]:
    """A page that cannot renew itself, since the wire is cut: a new main part would not know what had been reached."""
    cut = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    window.execute_cdp_cmd("Network.enable", {})
    window.execute_cdp_cmd("Network.emulateNetworkConditions", cut)
    window.execute_async_script("setTimeout(arguments[0], 300)")  # what had come before takes its place
    try:
        yield
    finally:
        window.execute_cdp_cmd("Network.emulateNetworkConditions", {**cut, "offline": False})
        window.get_log("browser")  # which tells of the wire


def tabbed(window: Any) -> tuple[int, int, list[str]]:
    """Tab through the whole page: its controls, how many of them were reached, and those that did not show it."""
    from selenium.webdriver.common.action_chains import ActionChains

    controls, told = window.execute_script(CONTROLS), []
    for _ in range(controls + 2):
        ActionChains(window).send_keys("\ue004").perform()
        told.append(window.execute_script(FOCUSED))
    reached = window.execute_script("return document.querySelectorAll('[data-reached]').length")
    return controls, reached, [each for each in told if each]
