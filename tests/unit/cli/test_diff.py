"""`longshore diff`: what the page of differences shows, for a terminal and for scripts."""

from __future__ import annotations

import json

import pytest

from tests.sim import releases
from tests.sim.command import Run
from tests.sim.control_plane import SimControlPlane


@pytest.fixture
def two(longshore: Run, house: SimControlPlane) -> Run:
    house.push(releases.make("1.0.0", size=1000))
    house.push(releases.make("1.1.0", size=2000))
    return longshore


@pytest.mark.parametrize("names", [("harbour@1.0.0", "harbour@1.1.0"), ("harbour-1-0-0", "harbour-1-1-0")])
def test_what_changed_is_told_and_what_did_not_only_when_asked(two: Run, names: tuple[str, str]) -> None:
    shown = two("diff", *names)
    assert shown.code == 0
    assert ["manifest", "version", "1.0.0", "1.1.0", "changed"] in [line.split() for line in shown.out.splitlines()]
    assert " same" not in shown.out
    assert " same" in two("diff", *names, "--all").out


def test_a_release_does_not_differ_from_itself(two: Run) -> None:
    shown = two("diff", "harbour@1.0.0", "harbour@1.0.0")
    assert (shown.code, shown.out) == (0, "")
    assert "nothing differs" in shown.err


def test_scripts_get_the_servers_own_document(two: Run) -> None:
    found = json.loads(two("diff", "harbour@1.0.0", "harbour@1.1.0", "-o", "json").out)
    [model] = [each for each in found["files"] if each["path"] == "model.onnx"]
    assert (model["before"], model["after"], model["change"]) == (1000, 2000, "changed")


def test_a_release_that_is_not_there_is_said(two: Run) -> None:
    assert two("diff", "harbour@1.0.0", "harbour@9.0.0").code == 4
