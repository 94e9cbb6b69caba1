"""Objects written as text on a page: the rules of the command line, in a browser."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.page_server import PageServer
from tests.sim.person import Person

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
TWO = """kind: Camera
metadata: {name: slipway, annotations: {floor: "1.10"}}
spec: {node: south-quay, source: "synthetic://harbour?seed=5", rate: 5}
---
kind: Camera
metadata: {name: lock}
spec: {node: south-quay, source: "ftp://nowhere"}
"""


@pytest.fixture
def person(browser: Any, server: PageServer) -> Person:
    return Person(browser, server)


def test_several_objects_are_applied_and_each_says_what_became_of_it(person: Person) -> None:
    person.open("/")
    person.click("footer a[href='/apply']")
    person.type("#objects", TWO)
    person.click("#apply")
    person.until(lambda: "camera/slipway created" in person.text("#applied"))
    person.until(lambda: "camera/lock refused: spec.source must start with" in person.text("#applied"))
    stored = person.server.services.fleet.get_camera("slipway")
    assert (stored["spec"]["rate"], stored["metadata"]["annotations"]["floor"]) == (5, "1.10")


def test_a_stored_object_is_edited_and_not_over_what_somebody_else_wrote(person: Person) -> None:
    fleet = person.server.services.fleet
    person.open("/nodes/south-quay")
    person.click("a[href='/apply?of=nodes/south-quay']")
    person.until(lambda: "slowDown: 0s" in person.of("#objects", "value"))
    text = person.of("#objects", "value").replace("slowDown: 0s", "slowDown: 70ms")
    person.type("#objects", text)
    person.click("#apply")
    person.until(lambda: "node/south-quay configured" in person.text("#applied"))
    assert fleet.get_node("south-quay")["spec"]["slowDown"] == "70ms"
    person.click("#apply")
    person.until(lambda: "refused" in person.text("#applied"))
    assert fleet.get_node("south-quay")["spec"]["slowDown"] == "70ms"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: [", "the text"),
        ("kind: Release\nmetadata: {name: x}", "kind says Release"),
        ("- 1", "a list"),
        ("", "no object"),
    ],
)
def test_what_is_no_object_is_said_and_stays_to_be_mended(person: Person, text: str, said: str) -> None:
    person.open("/apply")
    person.type("#objects", text)
    person.click("#apply")
    person.until(lambda: said in person.text("#form-error"))
    assert person.of("#objects", "value") == text
