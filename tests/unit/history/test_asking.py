"""What can be asked of telemetry over a span, on a simulated fleet: raw, by minute and by hour."""

from __future__ import annotations

import csv
import io
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import arro3.io
import pytest

from controlplane.history import domain, service
from controlplane.history.domain import METRICS
from controlplane.history.repository import HistoryRepository
from controlplane.insights.domain import Latencies, Sums
from controlplane.rollups import domain as rollups
from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import HarbourFleet

NAMES = ("frames", "latency_seconds", "cpu_cores")


@pytest.fixture(autouse=True)
def fleet(plane: SimControlPlane) -> HarbourFleet:
    made = HarbourFleet(plane.services)
    made.join()
    made.report()
    made.history(minutes=6)
    while plane.services.rollups.roll():
        pass
    return made


def ask(plane: SimControlPlane, **asked: str) -> dict[str, Any]:
    answer = plane.client.get("/api/v1/telemetry", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def total(found: dict[str, Any]) -> float:
    return sum(value or 0 for series in found["series"] for _, value in series["points"])


@pytest.mark.parametrize("by", ["all", "node", "camera", "deployment"])
def test_frames_are_the_same_from_records_minutes_and_hours(plane: SimControlPlane, by: str) -> None:
    spans = {"raw": ("20m", "10s"), "minute": ("2h", "1m"), "hour": ("3d", "1h")}
    found = {
        level: ask(plane, metric="frames", since=since, step=step, by=by) for level, (since, step) in spans.items()
    }
    assert {level: each["level"] for level, each in found.items()} == {level: level for level in spans}
    names = {level: [series["name"] for series in each["series"]] for level, each in found.items()}
    assert names["raw"] == names["minute"] == names["hour"]
    assert total(found["raw"]) == total(found["minute"]) == total(found["hour"]) > 1000


def test_outcomes_of_a_long_span_are_those_of_a_short_one(plane: SimControlPlane) -> None:
    short = plane.client.get("/api/v1/outcomes?since=20m&step=1m").json()
    long = plane.client.get("/api/v1/outcomes?since=3d&step=1h").json()
    assert (short["level"], long["level"]) == ("raw", "hour")
    nested = ("counts", "stageSeconds")
    flat = [{name: value for name, value in each["total"].items() if name not in nested} for each in (short, long)]
    assert flat[1] == pytest.approx(flat[0])
    for name in nested:
        assert long["total"][name] == pytest.approx(short["total"][name])
    for part in ("nodes", "cameras", "deployments"):
        assert {name: each["due"] for name, each in long[part].items()} == {
            name: each["due"] for name, each in short[part].items()
        }
    assert sum(each["due"] for each in long["buckets"]) == long["total"]["due"]


def test_percentiles_are_of_all_frames_of_a_step(plane: SimControlPlane) -> None:
    whole = plane.client.get("/api/v1/outcomes?since=3d&step=1h").json()["total"]
    found = {
        aggregate: ask(plane, metric="latency_seconds", aggregate=aggregate, since="2d", step="12h")
        for aggregate in ("p50", "p95", "mean", "max")
    }
    values = {
        name: [value for _, value in each["series"][0]["points"] if value is not None] for name, each in found.items()
    }
    assert min(map(len, values.values())) >= 1
    assert values["p50"][-1] <= values["p95"][-1] <= values["max"][-1]
    assert whole["latencyP50Seconds"] == pytest.approx(values["p50"][-1], rel=0.3)


def test_labels_of_boxes_choose_whose_telemetry_it_is(plane: SimControlPlane) -> None:
    north = ask(plane, metric="frames", since="2h", step="1m", by="node", labelSelector="quay=north")
    assert [series["name"] for series in north["series"]] == ["north-quay"]
    assert ask(plane, metric="frames", since="2h", labelSelector="quay=west")["series"] == []
    of_north = ask(plane, metric="frames", since="20m", step="1m", node="north-quay")
    assert total(north) == total(of_north)


def test_what_boxes_spend_is_a_mean_and_extremes(plane: SimControlPlane) -> None:
    for since, step in (("20m", "1m"), ("2h", "1m"), ("3d", "1h")):
        means, most = (
            ask(plane, metric="cpu_cores", aggregate=each, since=since, step=step, node="north-quay")
            for each in ("mean", "max")
        )
        (series,) = means["series"]
        pairs = zip(series["points"], most["series"][0]["points"], strict=True)
        told = [(mean, largest) for (_, mean), (_, largest) in pairs if mean is not None]
        assert told
        assert all(0 < mean <= largest for mean, largest in told)


@pytest.mark.parametrize("name", [name for name, of in METRICS.items() if of.frames])
def test_a_metric_is_made_of_the_columns_that_it_names(name: str) -> None:
    of, row = METRICS[name], {column: number for number, column in enumerate(rollups.SUMS, 1)}
    whole, read = domain.sums_of(row), domain.sums_of({column: row[column] for column in of.columns})
    for aggregate in (each.replace("NN", "99") for each in of.aggregates):
        assert of.frames is not None
        assert of.frames(read, aggregate, 60.0) == of.frames(whole, aggregate, 60.0) != 0


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_an_answer_by_each_of_its_aggregates(plane: SimControlPlane, name: str) -> None:
    of = METRICS[name]
    for aggregate in (each.replace("NN", "99") for each in of.aggregates):
        assert ask(plane, metric=name, aggregate=aggregate, since="2h", step="1m")["series"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"metric": "speed"}, "'speed' is no metric; there are frames, "),
        ({"metric": "frames", "aggregate": "p95"}, "frames has no 'p95'; there are sum, rate"),
        ({"metric": "cpu_cores", "by": "camera"}, "cpu_cores is of boxes: ask for it by node"),
        ({"metric": "frames", "since": "20d", "until": "479h", "step": "10s"}, "take a step of whole minutes"),
        ({"metric": "frames", "since": "400d", "step": "1h"}, "more than 2000 steps"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_what_can(
    plane: SimControlPlane, asked: dict[str, str], said: str
) -> None:
    answer = plane.client.get("/api/v1/telemetry", params=asked)
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]


def test_too_many_hours_are_refused_with_what_to_ask_instead(
    plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_ROWS", 300)
    assert ask(plane, metric="frames", by="camera", since="1d", step="1h")["level"] == "hour", "and minutes otherwise"
    answer = plane.client.get("/api/v1/telemetry?metric=frames&by=camera&since=20d&step=12h")
    assert "ask for a shorter span, or for one node, camera or deployment" in answer.json()["error"]["message"]
    assert plane.client.get("/api/v1/telemetry?metric=frames&camera=gate&since=3d&step=1h").status_code == 200


def test_a_series_may_not_have_points_without_end(plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_POINTS", 100)
    answer = plane.client.get("/api/v1/telemetry?metric=frames&by=camera&since=2h&step=1m")
    assert "take a longer step, or fewer nodes or cameras" in answer.json()["error"]["message"]


def test_what_can_be_asked_for_is_told(plane: SimControlPlane) -> None:
    items = {item["name"]: item for item in plane.client.get("/api/v1/telemetry/metrics").json()["items"]}
    assert items["latency_seconds"] == {
        "name": "latency_seconds",
        "unit": "seconds",
        "aggregates": ["p95", "mean", "max", "pNN"],
    }


def test_the_largest_latency_is_the_end_of_the_last_bucket_with_a_frame() -> None:
    latency = METRICS["latency_seconds"].frames
    assert latency is not None
    assert latency(Sums(box=Latencies([0, 3, 0], 1.0)), "max", 1.0) == 0.00125
    assert latency(Sums(), "p95", 1.0) is None


@pytest.mark.parametrize(("length", "step"), [(60_000, 1_000), (3_600_000, 30_000), (365 * 86_400_000, 7 * 86_400_000)])
def test_a_step_that_nobody_named_makes_some_hundred_points(length: int, step: int) -> None:
    assert domain.step_for(length) == step


# ---- files ----


def saved(plane: SimControlPlane, **asked: str) -> bytes:
    answer = plane.client.get("/api/v1/telemetry/export", params=asked)
    assert answer.status_code == 200, answer.text
    return bytes(answer.content)


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def table(content: bytes, folder: Path) -> dict[str, list[Any]]:
    (folder / "x.parquet").write_bytes(content)
    read: Any = arro3.io.read_parquet(folder / "x.parquet").read_all()
    return {name: [value.as_py() for value in read.column(name)] for name in read.column_names}


@pytest.mark.parametrize("level", ["raw", "minute", "hour"])
@pytest.mark.parametrize("page", [2, 7, 5_000])
def test_a_file_holds_every_record_once_and_in_order_however_large_a_page_is(
    plane: SimControlPlane, level: str, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PAGE_ROWS", page)
    found = rows(saved(plane, what="outcomes", level=level, since="1h"))
    whole = plane.client.get("/api/v1/outcomes?since=20m&step=1m").json()["total"]
    assert sum(int(row["frames_due"]) for row in found) == whole["due"]
    assert sum(int(row["ok_local"]) for row in found) == whole["counts"]["ok_local"]
    assert sum(sum(json.loads(row["box_buckets"])) for row in found) == whole["byBox"]
    places = [tuple(row[name] for name in ("at" if level == "raw" else "start", "node", "camera")) for row in found]
    assert [place[0] for place in places] == sorted(place[0] for place in places)
    assert len({(*place, row.get("seq", "")) for place, row in zip(places, found, strict=True)}) == len(found)


@pytest.mark.parametrize("level", ["raw", "minute", "hour"])
@pytest.mark.parametrize("what", ["outcomes", "nodes"])
def test_parquet_says_what_csv_says(plane: SimControlPlane, what: str, level: str, tmp_path: Path) -> None:
    asked = {"what": what, "level": level, "since": "1h"}
    text = rows(saved(plane, **asked))
    found = table(saved(plane, format="parquet", **asked), tmp_path)
    assert list(found) == list(text[0])
    assert found["node"] == [row["node"] for row in text]
    name = "frames_due" if what == "outcomes" else "disk_free_bytes" if level == "raw" else "samples"
    assert found[name] == [int(row[name]) for row in text]
    moments = found["at" if level == "raw" else "start"]
    assert moments[0].isoformat(timespec="milliseconds").replace("+00:00", "Z") == next(iter(text[0].values()))


@pytest.mark.parametrize("what", ["detections", "cameras", "gaps"])
def test_what_has_no_steps_comes_as_it_is_stored(plane: SimControlPlane, what: str) -> None:
    assert saved(plane, what=what, level="raw").startswith(b"at,")
    refused = plane.client.get(f"/api/v1/telemetry/export?what={what}&level=hour")
    assert refused.status_code == 422
    assert "ask for level=raw" in refused.json()["error"]["message"]


def test_a_reason_that_a_spreadsheet_would_run_is_text_in_csv(plane: SimControlPlane, fleet: HarbourFleet) -> None:
    from controlplane.ingest.domain import Kind

    fleet.say("north-quay", Kind.CAMERA, {"camera": "crane", "state": "retrying", "reason": '=HYPERLINK("x")'})
    plane.clock.tick(1)
    found = rows(saved(plane, what="cameras", level="raw"))
    assert '\'=HYPERLINK("x")' in [row["reason"] for row in found]


@pytest.mark.parametrize("level", ["minute", "hour"])
def test_a_file_of_all_of_time_is_looked_for_where_something_is_kept(
    plane: SimControlPlane, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look takes one of few turns, and who breaks off is not noticed between two of them."""
    looks, look = itertools.count(), HistoryRepository.outcome_steps

    def few(*told: Any) -> Any:
        assert next(looks) < 100
        return look(*told)

    monkeypatch.setattr(HistoryRepository, "outcome_steps", few)
    wish = replace(_wish(plane), level=rollups.Level(level), since_ms=-62_000_000_000_000, until_ms=253_000_000_000_000)
    found = [row for page in plane.services.history.export(wish) for row in page]
    assert len(found) == len(rows(saved(plane, what="outcomes", level=level, since="1h")))


def test_who_stops_reading_a_parquet_file_ends_its_writing(
    plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from controlplane.adapters import parquet
    from controlplane.history.exporting import What, columns, ready
    from controlplane.rollups.domain import Level

    monkeypatch.setattr(parquet, "PIECE", 1 << 10)  # rows that are all alike fill a large one slowly
    (row, *_) = next(iter(plane.services.history.export(_wish(plane))))
    endless = ([ready(What.OUTCOMES, Level.HOUR, row)] * 5_000 for _ in iter(int, 1))
    pieces = parquet.as_parquet(endless, columns(What.OUTCOMES, Level.HOUR))
    assert next(pieces).startswith(b"PAR1")
    pieces.close()  # type: ignore[attr-defined]  # it is a generator
    assert not [thread for thread in threading.enumerate() if thread.name == "parquet"]


def test_a_database_that_goes_away_leaves_no_file_that_looks_whole(plane: SimControlPlane) -> None:
    from controlplane.adapters import parquet
    from controlplane.history.exporting import What, columns
    from controlplane.rollups.domain import Level
    from protos.errors import Retryable

    (page, *_) = plane.services.history.export(_wish(plane))

    def away() -> Any:
        yield page
        raise Retryable("the database is away")

    got = bytearray()

    def read() -> None:
        for piece in parquet.as_parquet(away(), columns(What.OUTCOMES, Level.HOUR)):
            got.extend(piece)

    with pytest.raises(Retryable):
        read()
    assert not got.endswith(b"PAR1")


def _wish(plane: SimControlPlane) -> service.Wish:
    from controlplane.history.exporting import What
    from controlplane.insights.repository import Only

    now = plane.services.history.now_ms
    return service.Wish(What.OUTCOMES, rollups.Level.HOUR, Only(), now - 7_200_000, now + 1)
