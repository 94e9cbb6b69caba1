"""A year of a fleet asks for its room first, and tells how far it is."""

from __future__ import annotations

import io
from dataclasses import replace

from bench.bench_year import FULL, QUICK, lacking, missed, sizes
from bench.year.progress import Progress

GOOD = {
    "pages": [{"what": "fleet", "p95": 0.9}],
    "questions": [{"what": "a week", "p95": 1.0}],
    "export": {"csv": {"grew_mb": 50.0}},
}


def test_the_full_form_is_88_million_rows_and_fits_into_25_gb() -> None:
    assert sizes(FULL)["postgresql"].rows > 87_500_000
    assert sizes(FULL)["sqlite"].rows * 10 == sizes(FULL)["postgresql"].rows
    assert lacking(FULL, 25 * 10**9) == ""


def test_where_there_is_too_little_room_it_says_how_much_and_what_to_do() -> None:
    said = lacking(FULL, 10 * 10**9)
    assert "10 GB left" in said
    assert "25 GB" in said
    assert "--boxes" in said
    assert lacking(replace(QUICK, boxes=1), 2 * 10**9) == ""


def test_what_is_late_or_takes_memory_is_missed() -> None:
    assert list(missed({"sqlite": GOOD})) == []
    bad = {
        "pages": [{"what": "fleet", "p95": 1.5}],
        "questions": [{"what": "a week", "p95": 2.0}],
        "export": {"csv": {"grew_mb": 300.0}},
    }
    assert len(list(missed({"sqlite": bad}))) == 3


def test_a_tenth_is_a_line_where_nobody_sees_a_line_change() -> None:
    out = io.StringIO()
    progress = Progress(out)
    for done in range(1, 101):
        progress.step("hours", done, 100)
    assert out.getvalue().count("\n") == 11
    assert "hours: 100%" in out.getvalue()
