"""Neighbouring releases work together; what is further apart is told."""

from __future__ import annotations

import pytest

from protos.versions import RULE, skew


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("0.2.0", "0.2.7"), ("0.2.0", "0.1.9"), ("0.2.0", "0.3.0"), ("0.2.0", ""), ("0.2.0", "a build of my own")],
)
def test_the_same_release_and_neighbours_are_fine(ours: str, theirs: str) -> None:
    assert skew(ours, theirs) == ""


@pytest.mark.parametrize(("ours", "theirs"), [("0.3.0", "0.1.0"), ("0.1.0", "0.3.0"), ("1.0.0", "0.9.0")])
def test_two_releases_apart_are_told_with_the_rule(ours: str, theirs: str) -> None:
    assert RULE in skew(ours, theirs)
