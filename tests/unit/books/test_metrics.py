"""The books of the fleet for Prometheus, and an alert for each bad state of telemetry."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agent.telemetry.metrics import Metrics
from controlplane.adapters.mqtt_in import REPLICAS_GROUP
from controlplane.adapters.telemetry_memory import MemoryTelemetryIn
from controlplane.books.checking import Code
from controlplane.books.service import BooksService
from controlplane.ingest.loop import IngestMetrics
from controlplane.trust.domain import CONTROL_PLANE_USER, EVENTS_USER
from controlplane.up import broker_rules
from protos.errors import Retryable
from tests.sim.books_data import SimBox
from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import HarbourFleet

RULES = Path(__file__).parents[3] / "deploy" / "prometheus" / "longshore.rules.yaml"
CASES = Path(__file__).parents[2] / "fixtures" / "prometheus" / "longshore.rules.test.yaml"
DOCS = Path(__file__).parents[3] / "docs"
PROMTOOL = os.environ.get("LONGSHORE_PROMTOOL") or shutil.which("promtool")
NAME = re.compile(r"\blongshore_\w+")


@pytest.fixture
def fleet(plane: SimControlPlane) -> HarbourFleet:
    made = HarbourFleet(plane.services)
    made.join()
    made.report()
    return made


@pytest.fixture
def box(plane: SimControlPlane, fleet: HarbourFleet) -> SimBox:
    made = SimBox(plane.services, "north-quay")
    made.accept("detection", 20)
    made.accept("debug", 30)
    made.declare("debug", 5, 9)
    made.settle()
    return made


def samples(text: str) -> dict[tuple[str, ...], float]:
    """By name and values of labels."""
    return {
        (sample.name.removeprefix("longshore_fleet_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(plane: SimControlPlane) -> dict[tuple[str, ...], float]:
    plane.clock.tick(6)  # the books of the fleet are read anew
    return samples(plane.client.get("/metrics").text)


def test_records_are_told_by_class_and_where_they_are(plane: SimControlPlane, box: SimBox) -> None:
    told = scrape(plane)
    states = ("accepted", "stored", "dropped", "waiting", "unaccounted")
    assert [told["telemetry_records", "debug", state] for state in states] == [30, 25, 5, 0, 0]
    assert [told["telemetry_boxes", state] for state in ("at rest", "under way", "unaccounted")] == [3, 0, 0]
    assert [told["telemetry_conflicts", kind] for kind in ("record", "start", "outbox")] == [0, 0, 0]
    assert told[("silent_nodes",)] == 0


def test_what_waits_is_told_by_how_long_and_whether_its_box_is_there(
    plane: SimControlPlane, fleet: HarbourFleet, box: SimBox
) -> None:
    box.accept("detection", 3)
    box.tell("detection", oldest_ms=box.now_ms - 394_000)
    assert scrape(plane)["telemetry_oldest_waiting_seconds", "detection", "connected"] == 400
    plane.services.boxes.presence("north-quay", online=False, boot_id="boot-1")
    told = scrape(plane)
    assert told["telemetry_oldest_waiting_seconds", "detection", "silent"] == 406
    assert ("telemetry_oldest_waiting_seconds", "detection", "connected") not in told
    assert told["telemetry_boxes", "under way"] == 1


def test_what_is_nowhere_is_told(plane: SimControlPlane, box: SimBox) -> None:
    box.accept("alarm", 4)
    box.tell("alarm", waiting=0)
    told = scrape(plane)
    assert told["telemetry_records", "alarm", "unaccounted"] == 4
    assert told["telemetry_boxes", "unaccounted"] == 1


def test_two_boxes_under_one_name_are_told_for_a_week(plane: SimControlPlane, box: SimBox) -> None:
    for start in ("s2", "s3"):
        SimBox(plane.services, "north-quay", start, "s1").begin()
    box.clash("metric", 1)
    told = scrape(plane)
    assert [told["telemetry_conflicts", kind] for kind in ("record", "start", "outbox")] == [1, 1, 0]
    plane.clock.tick(7 * 86_400)
    assert scrape(plane)["telemetry_conflicts", "start"] == 0


def test_boxes_not_heard_for_five_minutes_are_silent(plane: SimControlPlane, box: SimBox) -> None:
    plane.services.boxes.presence("north-quay", online=False, boot_id="boot-1")
    plane.clock.tick(290)
    assert scrape(plane)[("silent_nodes",)] == 0
    plane.clock.tick(10)
    assert scrape(plane)[("silent_nodes",)] == 1


def test_a_thousand_boxes_are_no_more_series_than_one(plane: SimControlPlane, fleet: HarbourFleet, box: SimBox) -> None:
    before = {key for key in scrape(plane) if key[0].startswith("telemetry_")}
    for number in range(20):
        fleet.admit(f"box-{number}", "edge", {})
        other = SimBox(plane.services, f"box-{number}")
        other.accept("detection", 2)
        other.settle()
    assert {key for key in scrape(plane) if key[0].startswith("telemetry_")} == before


def test_without_the_database_there_is_none_of_this(
    plane: SimControlPlane, fleet: HarbourFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_books: BooksService) -> None:
        raise Retryable("the database is away")

    monkeypatch.setattr(BooksService, "fleet", away)
    assert not any(key[0].startswith("telemetry_") for key in scrape(plane))


# ---- alerts ----


def rules() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from group["rules"]


def told_metrics(plane: SimControlPlane) -> str:
    """What both planes say, as text."""
    registry = CollectorRegistry()
    IngestMetrics(registry, MemoryTelemetryIn())
    texts = [plane.client.get("/metrics").content, generate_latest(registry), Metrics("0.2.0", "quay-1").render()]
    return b"\n".join(texts).decode()


def test_every_metric_of_an_alert_exists(plane: SimControlPlane, box: SimBox) -> None:
    box.accept("detection", 3)
    box.tell("detection", oldest_ms=box.now_ms - 1)
    families = re.findall(r"^# TYPE (\S+)", told_metrics(plane), re.MULTILINE)
    for rule in rules():
        named = NAME.findall(rule["expr"])
        assert named, rule["alert"]
        assert {name for name in named if name not in families} == set(), rule["alert"]


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
    named = [rule["alert"] for rule in rules()]
    assert len(set(named)) == len(named)
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert len(rule["annotations"]["description"]) > 40


def test_every_alert_and_metric_is_documented(plane: SimControlPlane) -> None:
    docs = (DOCS / "telemetry.md").read_text() + (DOCS / "agent.md").read_text()
    for rule in rules():
        assert f"`{rule['alert']}`" in docs
        assert {name for name in NAME.findall(rule["expr"]) if not _described(name, docs)} == set()


def _described(name: str, docs: str) -> bool:
    """By its whole name, or as `…_rest` behind another of its family."""
    ends = [f"…{name[at:]}" for at, letter in enumerate(name) if letter == "_"]
    return any(f"`{word}`" in docs for word in (name, *ends))


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed; Debian has it in the package prometheus")
@pytest.mark.parametrize(
    "words", [("check", "rules", str(RULES)), ("test", "rules", str(CASES))], ids=["check", "test"]
)
def test_prometheus_takes_the_alerts_and_they_fire_when_they_should(words: tuple[str, ...]) -> None:
    done = subprocess.run([str(PROMTOOL), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- docs/telemetry.md ----


def test_every_deviation_is_documented_with_its_meaning() -> None:
    table = (DOCS / "telemetry.md").read_text().partition("## What verify says")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == [code.value for code in Code]


def test_emqx_gets_the_rules_that_mosquitto_has() -> None:
    said = (DOCS / "telemetry.md").read_text().partition("### EMQX")[2]
    rules = broker_rules.mosquitto_acl(CONTROL_PLANE_USER)
    topics = {line.split()[-1].replace("%u", "${username}") for line in rules.splitlines() if "longshore/v1" in line}
    assert {topic for topic in topics if f'"{topic}"' not in said} == set()
    granted = set(re.findall(r'"(longshore/v1/[^"]+)"', said))
    assert granted == topics
    users = {line.split()[1] for line in rules.splitlines() if line.startswith("user ")}
    (pattern,) = re.findall(r'\{re, "([^"]+)"\}', said)
    assert {user for user in users if not re.search(pattern, user)} == {EVENTS_USER}
    assert f"$share/{REPLICAS_GROUP}/" in said
