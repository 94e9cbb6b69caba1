"""Without a terminal a long thing says now and then how far it is; a quick one says nothing."""

from __future__ import annotations

import pytest

from controlplane.cli import bars


def test_a_line_comes_every_ten_seconds_and_tells_what_is_left_of_what_is_done_now() -> None:
    now, said = [0.0], list[str]()
    lines = bars.Lines(said.append, lambda: now[0])
    for now[0] in range(21):
        lines.show("looking", now[0] / 40)
    for now[0] in (21.0, 25.0, 30.0):
        lines.show("measuring", 0.0)
    assert said == ["looking: 25%, 30 s left", "looking: 50%, 20 s left", "measuring: 0%"]


def test_where_there_is_no_terminal_the_lines_come_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with bars.shares() as progress:
        progress("looking", 0.1)
        monkeypatch.setattr(bars, "LINE_SECONDS", 0.0)
        progress("looking", 1.0)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "looking: 100%\n")
