"""A recount finds what was taken from the books, and nothing where nothing was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import delete, update

from controlplane.books import checking, service
from controlplane.books.checking import Code, Declared, Deviation, Recount
from controlplane.books.domain import Line, Sums
from controlplane.ingest.domain import Kind
from controlplane.tables import CameraHealth, Epoch, Gap
from tests.sim.books_data import SimBox
from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import HarbourFleet

NODE = "north-quay"


@pytest.fixture
def box(plane: SimControlPlane) -> SimBox:
    HarbourFleet(plane.services).join()
    made = SimBox(plane.services, NODE)
    for record_class, count in (("alarm", 2), ("detection", 40), ("metric", 12), ("debug", 30)):
        made.accept(record_class, count)
    made.declare("debug", 5, 9)
    made.declare("debug", 10, 14, at_least=True)
    made.settle()
    return made


def codes(plane: SimControlPlane) -> set[tuple[str, Code]]:
    return {(each.record_class, each.code) for each in plane.services.books.verify(NODE).deviations}


def test_books_at_rest_are_true(plane: SimControlPlane, box: SimBox) -> None:
    found = plane.services.books.verify(NODE)
    assert list(found.deviations) == []
    assert (found.lines, found.rows, found.swept, found.after) == (5, 2 + 40 + 12 + 20 + 2, 0, "")
    assert found.kept.total == Sums(86, 76, 10)


def test_books_in_flight_are_true(plane: SimControlPlane, box: SimBox) -> None:
    box.accept("detection", 20)
    box.deliver("detection", 45, 50)
    box.deliver("detection", 55, 55)
    box.tell("detection")
    box.drop("debug", 20, 20)
    assert codes(plane) == set()
    assert plane.services.books.node(NODE).classes["detection"].waiting == 13


def missing(box: SimBox, plane: SimControlPlane) -> None:
    box.spoil("detection", 7)


def added(box: SimBox, plane: SimControlPlane) -> None:
    box.put(Kind.NODE, "metric", 99)


def twice(box: SimBox, plane: SimControlPlane) -> None:
    box.put(Kind.CAMERA, "metric", 3)


def came_though_dropped(box: SimBox, plane: SimControlPlane) -> None:
    box.put(Kind.FRAME, "debug", 6)


def gap_taken(box: SimBox, plane: SimControlPlane) -> None:
    with plane.database.begin() as session:
        session.execute(delete(Gap).where(Gap.first_seq == 5))


def gap_widened(box: SimBox, plane: SimControlPlane) -> None:
    with plane.database.begin() as session:
        session.execute(update(Gap).where(Gap.first_seq == 5).values(last_seq=10, dropped=6))


def line_taken(box: SimBox, plane: SimControlPlane) -> None:
    with plane.database.begin() as session:
        session.execute(delete(Epoch).where(Epoch.record_class == "alarm"))


def never_came(box: SimBox, plane: SimControlPlane) -> None:
    box.accept("alarm", 1)
    box.tell("alarm", waiting=0)


def cloned(box: SimBox, plane: SimControlPlane) -> None:
    SimBox(plane.services, NODE, "s2", "s1").begin()
    SimBox(plane.services, NODE, "s3", "s1").begin()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (missing, {("detection", Code.MISSING), ("detection", Code.HOLE)}),
        (added, {("metric", Code.UNCOUNTED), ("metric", Code.BEYOND)}),
        (twice, {("metric", Code.UNCOUNTED), ("metric", Code.TWICE)}),
        (came_though_dropped, {("debug", Code.UNCOUNTED), ("debug", Code.GAPS)}),
        (gap_taken, {("debug", Code.GAPS), ("debug", Code.HOLE), ("gap", Code.MISSING), ("gap", Code.HOLE)}),
        (gap_widened, {("debug", Code.GAP_TWICE)}),
        (line_taken, {("", Code.UNCOUNTED)}),
        (never_came, {("alarm", Code.UNACCOUNTED)}),
        (cloned, {("", Code.CONFLICT)}),
        (lambda box, plane: box.clash("metric", 3), {("", Code.CONFLICT)}),
    ],
    ids=["missing", "added", "twice", "both", "gap-taken", "gap-widened", "line-taken", "never-came", "clone", "clash"],
)
def test_what_is_wrong_is_found_and_named(
    plane: SimControlPlane,
    box: SimBox,
    spoil: Callable[[SimBox, SimControlPlane], None],
    expected: set[tuple[str, Code]],
) -> None:
    spoil(box, plane)
    assert codes(plane) == expected


def test_a_hole_is_told_with_its_numbers(plane: SimControlPlane, box: SimBox) -> None:
    for seq in (7, 8, 20, 33):
        box.spoil("detection", seq)
    (hole,) = [each for each in plane.services.books.verify(NODE).deviations if each.code is Code.HOLE]
    assert "4 numbers up to 40" in hole.sentence
    assert "(the first: 7–8, 20, 33)" in hole.sentence


def test_what_retention_took_is_not_missed(plane: SimControlPlane, box: SimBox) -> None:
    plane.clock.tick(86_400 * 400)
    while plane.services.ingest.sweep():
        pass
    found = plane.services.books.verify(NODE)
    assert list(found.deviations) == []
    assert (found.rows, found.swept) == (2, 74)
    box.spoil("gap", 1)  # Gaps are kept for ever
    assert ("gap", Code.MISSING) in codes(plane)


def test_records_of_before_there_were_books_are_not_judged(plane: SimControlPlane, box: SimBox) -> None:
    line_taken(box, plane)
    with plane.database.begin() as session:
        session.execute(update(CameraHealth).values(digest=None))
    assert codes(plane) == set()


def test_a_box_with_more_than_one_answer_holds_is_verified_part_by_part(
    plane: SimControlPlane, box: SimBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "ROWS_AT_ONCE", 30)
    box.clash("metric", 3)
    rows, after, parts = 0, "", 0
    told: list[Deviation] = []
    while parts == 0 or after:
        part = plane.services.books.verify(NODE, after)
        rows, after, parts = rows + part.rows, part.after, parts + 1
        told += part.deviations
    assert (rows, parts > 2) == (76, True)
    assert [each.code for each in told] == [Code.CONFLICT]  # once, not with each part


LINE = Line(NODE, "e1", "debug", "s1", 0, 0, 10, ((13, 14),), 8, 4)
TRUE = Recount(rows=8, below=6, within=2, least=1, declared=(Declared(3, 6, 4),))


def test_numbers_are_proven_by_counting_them() -> None:
    def said(line: Line, found: Recount) -> list[Code]:
        return [each.code for each in checking.deviations(line, found, Sums())]

    assert said(LINE, TRUE) == []
    assert said(replace(LINE, up_to=11), TRUE) == [Code.HOLE]
    assert said(LINE, replace(TRUE, below=5)) == [Code.HOLE, Code.BEYOND]
    assert said(LINE, replace(TRUE, declared=(Declared(3, 9, 4),))) == []  # inexact: not judged


def test_ranges_that_overlap_cover_a_number_once() -> None:
    assert checking.covered([(1, 3), (3, 5), (9, 9), (2, 4)]) == 6
    assert checking.clipped([(1, 5), (8, 12)], [(2, 3), (10, 20)]) == [(2, 3), (10, 12)]
