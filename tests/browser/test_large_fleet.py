"""Two hundred boxes and four hundred cameras: the pages fit, answer to hands while everything moves, and find a box."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sim.large_fleet import LargeFleet
from tests.sim.page_server import PageServer, page_server
from tests.sim.person import Person
from tests.sim.screenshots import emulate

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
FROZEN_MS = 500  # a task that keeps the page from answering to hands for longer than that is one too long
LONG_TASKS = (
    "window.longest = 0; new PerformanceObserver((list) => {"
    " for (const each of list.getEntries()) window.longest = Math.max(window.longest, each.duration);"
    "}).observe({ type: 'longtask', buffered: false });"
)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    with page_server(tmp_path_factory.mktemp("large")) as made:
        fleet = LargeFleet(made.services)
        fleet.join()
        fleet.report()
        fleet.history(minutes=1)
        yield made


@pytest.fixture
def person(browser: Any, large: PageServer) -> Person:
    return Person(browser, large)


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("path", ["/", "/cameras", "/deployments"])
def test_it_fits(person: Person, path: str, width: int) -> None:
    emulate(person.browser, width)
    person.open(path)
    assert person.browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert person.complaints() == []


def test_a_box_is_found_among_hundreds(person: Person) -> None:
    person.open("/")
    person.until(lambda: "200 of 200 boxes online" in person.text())
    person.type("#boxes-q", "quay-173")
    person.until(lambda: [each for each in person.texts("tr[data-node] th, tr[data-node] td:first-child") if each])
    person.until(lambda: person.browser.execute_script("return document.querySelectorAll('[data-node]').length") == 1)
    person.click('[data-node="quay-173"] a')
    person.until(lambda: person.browser.current_url.endswith("/nodes/quay-173"))


def test_the_page_answers_to_hands_while_all_boxes_talk(person: Person, large: PageServer) -> None:
    fleet = LargeFleet(large.services)
    person.open("/")
    person.browser.execute_script(LONG_TASKS)
    before = person.text('[data-text="all.rate"]')
    for _ in range(3):
        fleet.tick()
        fleet.report()
    person.until(lambda: person.text('[data-text="all.rate"]') != before)
    assert person.browser.execute_script("return window.longest") < FROZEN_MS
