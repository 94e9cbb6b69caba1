"""`longshore download`: a file that is there when it is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.history.service import HistoryService
from protos.errors import Retryable
from tests.sim.command import Run
from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import HarbourFleet


@pytest.fixture(autouse=True)
def fleet(house: SimControlPlane) -> None:
    made = HarbourFleet(house.services)
    made.join()
    made.history(minutes=1)
    while house.services.rollups.roll():
        pass


def test_the_ending_says_the_format(longshore: Run) -> None:
    shown = longshore("download", "outcomes", "-o", "year.parquet", "--since", "365d")
    assert (shown.code, shown.out.startswith("year.parquet: outcomes since 365d, ")) == (0, True), shown.err
    assert Path("year.parquet").read_bytes().endswith(b"PAR1")
    assert longshore("download", "nodes", "-o", "nodes.csv", "-l", "quay=north").code == 0
    assert {line.split(",")[1] for line in Path("nodes.csv").read_text().splitlines()} == {"node", "north-quay"}
    assert not list(Path().glob("*.part"))


def test_what_has_no_steps_comes_as_it_is_stored(longshore: Run) -> None:
    assert longshore("download", "detections", "-o", "seen.csv").code == 0
    assert Path("seen.csv").read_text().startswith("at,node,camera,")


def test_a_name_without_an_ending_needs_a_format(longshore: Run) -> None:
    shown = longshore("download", "outcomes", "-o", "year")
    assert (shown.code, "say which with --format" in shown.err) == (2, True)
    assert longshore("download", "outcomes", "-o", "year", "--format", "csv").code == 0


def test_standard_output_keeps_what_it_holds(longshore: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("all.csv").open("a") as file:
        file.write("of another box\n")
        file.flush()
        monkeypatch.setattr("sys.stdout", file)
        assert longshore("download", "nodes", "-o", "-", "--format", "csv").code == 0
    kept = Path("all.csv").read_text().splitlines()
    assert (kept[0], kept[1].split(",")[:2]) == ("of another box", ["start", "node"])


@pytest.mark.parametrize(
    ("what", "filters"),
    [("nodes", ["--camera", "gate"]), ("gaps", ["--deployment", "watch"]), ("cameras", ["--deployment", "watch"])],
)
def test_a_filter_that_says_nothing_of_it_is_refused(longshore: Run, what: str, filters: list[str]) -> None:
    for level in ("raw", "hour") if what == "nodes" else ("raw",):
        shown = longshore("download", what, "-o", "some.csv", "--level", level, *filters)
        assert (shown.code, f"{what} have no {filters[0][2:]}" in shown.err) == (1, True)


def test_a_refusal_leaves_no_file(longshore: Run) -> None:
    shown = longshore("download", "outcomes", "-o", "year.csv", "--since", "soon")
    assert (shown.code, "how long ago" in shown.err) == (1, True)
    assert not list(Path().glob("year*"))


def test_a_file_that_broke_off_does_not_look_whole_and_is_told(longshore: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = HistoryService._page

    def breaking(self: HistoryService, wish: object, after: object) -> list[object]:
        if after is not None:
            raise Retryable("the database is away")
        return real(self, wish, after)[:1]  # type: ignore[arg-type,return-value]  # passed on as it came

    monkeypatch.setattr(HistoryService, "_page", breaking)
    monkeypatch.setattr("controlplane.history.service.PAGE_ROWS", 1)
    shown = longshore("download", "outcomes", "-o", "year.csv", "--since", "2h")
    assert shown.code == 3
    assert "year.csv.part is not whole, and the same again begins anew" in shown.err
    assert not Path("year.csv").exists()
