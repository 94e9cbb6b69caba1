"""Events as applications get them: what the schema says, in the words of the REST API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from msgspec import structs

from agent.telemetry.events import MOST_BOXES, event
from agent.types import Box
from controlplane.insights.schemas import BoxAnswer, DetectionAnswer, HappeningAnswer
from protos.ids import NodeId
from protos.outcomes import Outcome
from tests.sim.telemetry import CROSSED, DWELT, finished

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA = Draft202012Validator(json.loads((DOCS / "events.schema.json").read_text()))
BOAT = Box(0.41, 0.52, 0.58, 0.71, 0.93, "boat", ("water-edge",))
FAINT = Box(0.0, 0.0, 1.0, 1.0, 0.41, "boat")
NS = 1_795_470_667_402_113_000


def told(**frame: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event(NodeId("south-quay"), finished(5121, captured_unix_ns=NS, **frame)))
    SCHEMA.validate(found)
    return found


def test_an_event_says_what_the_schema_promises() -> None:
    found = told(boxes=(FAINT, BOAT))
    assert (found["captured"], found["capturedUnixNs"]) == ("2026-11-23T21:51:07.402Z", str(NS))
    assert (found["node"], found["outcome"], found["frameSeq"]) == ("south-quay", "ok_local", 5121)
    assert [(box["score"], box["zones"]) for box in found["boxes"]] == [(0.93, ["water-edge"]), (0.41, [])]


@pytest.mark.parametrize("outcome", [Outcome.OK_CLOUD, Outcome.OK_HEDGE, Outcome.EXPIRED, Outcome.CLOUD_LATE])
def test_every_answered_frame_keeps_to_the_schema(outcome: Outcome) -> None:
    assert told(outcome=outcome, where="cloud-1", boxes=())["boxes"] == []


def test_a_crowd_is_cut_to_the_surest() -> None:
    crowd = tuple(Box(0, 0, 1, 1, number / 1000, "x" * 60, ("a" * 60,)) for number in range(300))
    found = told(boxes=crowd)
    assert [box["score"] for box in found["boxes"]][:2] == [0.299, 0.298]
    assert len(found["boxes"]) == MOST_BOXES
    assert len(json.dumps(found)) < 32 << 10


def test_things_have_numbers_and_what_they_did_stands_beside() -> None:
    found = told(boxes=(structs.replace(BOAT, track=12), FAINT), happened=(CROSSED, DWELT))
    assert [box["track"] for box in found["boxes"]] == [12, None]
    boat = {"label": "boat", "track": 12}
    assert found["happened"] == [
        {"what": "crossed", "line": "gate", "direction": "left-to-right", "zone": None, "seconds": None, **boat},
        {"what": "dwelt", "line": None, "direction": None, "zone": "berth", "seconds": 30.25, **boat, "track": 3},
    ]


def test_what_is_in_an_event_has_the_words_of_the_rest_api_too() -> None:
    found = told(boxes=(BOAT,), happened=(CROSSED,))
    for answer, given in ((BoxAnswer, found["boxes"][0]), (HappeningAnswer, found["happened"][0])):
        assert set(given) == {field.serialization_alias or field.alias for field in answer.model_fields.values()}


def test_the_words_are_those_of_the_rest_api() -> None:
    answer = {field.serialization_alias or field.alias for field in DetectionAnswer.model_fields.values()}
    assert set(told(boxes=())) - {"schema"} <= answer


def test_the_example_in_the_documentation_keeps_to_the_schema() -> None:
    text = (DOCS / "events.md").read_text().partition("```json\n")[2].partition("```")[0]
    SCHEMA.validate(json.loads(text.replace("sha256:416f…", "sha256:" + "4" * 64)))


def test_the_schema_refuses_what_is_no_event() -> None:
    with pytest.raises(ValidationError):
        SCHEMA.validate({**told(boxes=()), "outcome": "shed"})
