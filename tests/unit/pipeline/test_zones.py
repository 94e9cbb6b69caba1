"""Where a detection stands, and in which zones that is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pipeline.zones import contains, standing, tagged
from agent.types import Box, Zone

WATER = Zone("water", ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)))
QUAY = Zone("quay", ((0.0, 0.4), (0.5, 0.4), (0.5, 0.6), (0.0, 0.6)))
L_SHAPE = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.5, 0.5), (0.5, 1.0), (0.0, 1.0))


def box(x: float, foot: float, *, width: float = 0.1, height: float = 0.3) -> Box:
    return Box(x - width / 2, foot - height, x + width / 2, foot, 0.9, "boat")


def test_a_box_stands_where_the_middle_of_its_lower_edge_is() -> None:
    assert standing(box(0.5, 0.8), [WATER]) == ("water",)
    assert standing(box(0.5, 0.49), [WATER]) == ()
    assert standing(box(0.5, 0.8, height=0.75), [WATER]) == ("water",)  # its middle is above the water


def test_zones_may_overlap_and_are_named_in_their_order() -> None:
    assert standing(box(0.2, 0.55), [WATER, QUAY]) == ("water", "quay")
    assert standing(box(0.2, 0.55), [QUAY, WATER]) == ("quay", "water")


def test_every_box_is_tagged_and_nothing_else_of_it_changes() -> None:
    before = (box(0.2, 0.55), box(0.2, 0.1, height=0.05))
    after = tagged(before, [QUAY])
    assert [each.zones for each in after] == [("quay",), ()]
    assert tagged(after, []) == before


@pytest.mark.parametrize("point", [(0.0, 0.0), (0.75, 0.5), (0.5, 0.75), (0.5, 0.5), (1.0, 0.25), (0.25, 1.0)])
def test_the_outline_belongs_to_the_zone(point: tuple[float, float]) -> None:
    assert contains(L_SHAPE, point)


@pytest.mark.parametrize(
    ("point", "inside"), [((0.25, 0.75), True), ((0.75, 0.25), True), ((0.75, 0.75), False), ((0.51, 0.51), False)]
)
def test_a_zone_may_have_a_dent(point: tuple[float, float], inside: bool) -> None:
    assert contains(L_SHAPE, point) is inside


def test_a_box_cut_off_by_the_lower_edge_of_the_picture_stands_in_a_zone_that_ends_there() -> None:
    assert standing(box(0.5, 1.0), [WATER]) == ("water",)


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.booleans())
def test_a_rectangle_holds_what_lies_between_its_sides_whichever_way_round(x: float, y: float, turned: bool) -> None:
    corners = ((0.2, 0.3), (0.8, 0.3), (0.8, 0.7), (0.2, 0.7))
    near = any(abs(x - side) < 1e-5 for side in (0.2, 0.8)) or any(abs(y - side) < 1e-5 for side in (0.3, 0.7))
    expected = 0.2 < x < 0.8 and 0.3 < y < 0.7
    assert near or contains(corners[::-1] if turned else corners, (x, y)) is expected


def test_two_corners_in_the_same_place_are_no_trouble() -> None:
    assert contains(((0.0, 0.0), (0.0, 0.0), (1.0, 0.0), (1.0, 1.0)), (0.9, 0.5))
