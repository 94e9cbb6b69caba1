"""How errors become answers: one sentence, the right status, never a traceback."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from controlplane import errors
from controlplane.logs import JsonLines
from controlplane.web import STATUS
from protos.errors import Fatal, InvalidManifest, InvalidName, InvalidToken, LongshoreError, Rejected, Retryable
from tests.sim.control_plane import SimControlPlane


def raising(error: Exception) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.NotFound("there is none"), 404, "not-found"),
        (errors.Conflict("it clashes"), 409, "conflict"),
        (errors.Unauthenticated("who are you"), 401, "unauthenticated"),
        (errors.Forbidden("you may not"), 403, "forbidden"),
        (errors.TooLarge("too much"), 413, "too-large"),
        (InvalidToken("bad token"), 401, "invalid-token"),
        (InvalidManifest("bad manifest"), 422, "rejected"),
        (InvalidName("bad name"), 422, "rejected"),
        (Rejected("no"), 422, "rejected"),
        (Retryable("later", 7.0), 503, "try-again"),
        (Fatal("broken"), 500, "broken"),
    ],
)
def test_each_error_has_its_answer(
    plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch, error: LongshoreError, status: int, code: str
) -> None:
    monkeypatch.setattr(plane.identity, "join_tokens", raising(error))
    answer = plane.client.get("/api/v1/jointokens")
    assert (answer.status_code, answer.json()) == (status, {"error": {"code": code, "message": str(error)}})


def test_what_is_worth_another_try_says_when(plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane.identity, "join_tokens", raising(Retryable("later", 7.0)))
    assert plane.client.get("/api/v1/jointokens").headers["retry-after"] == "7"


def test_a_mistake_of_ours_shows_no_traceback_and_is_logged(
    plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(plane.identity, "join_tokens", raising(ZeroDivisionError("secret detail")))
    answer = plane.client.get("/api/v1/jointokens")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "broken")
    assert "secret detail" not in answer.text
    assert "GET /api/v1/jointokens failed" in caplog.text


def test_a_path_that_is_nowhere_points_to_the_description(plane: SimControlPlane) -> None:
    answer = plane.client.get("/api/v1/nowhere")
    assert answer.status_code == 404
    assert "/api/v1/openapi.json" in answer.json()["error"]["message"]


def test_what_a_caller_wrote_is_told_back_in_part(plane: SimControlPlane) -> None:
    long = "x" * 5_000
    answers = [plane.client.get(f"/api/v1/{long}"), plane.client.post("/api/v1/apitokens", json={long: 1})]
    assert [answer.status_code for answer in answers] == [404, 422]
    assert all(len(answer.text) < 500 for answer in answers)


def test_lists_of_what_is_no_object_have_the_shape_of_every_list(plane: SimControlPlane) -> None:
    for path, kind in (
        ("jointokens", "JoinTokenList"),
        ("apitokens", "ApiTokenList"),
        ("audit", "AuditList"),
        ("people/admin/sessions", "SessionList"),
    ):
        found = plane.client.get(f"/api/v1/{path}").json()
        assert (found["apiVersion"], found["kind"], found["metadata"]) == ("longshore/v1", kind, {"continue": ""})


def test_a_wrong_method_is_refused_as_such(plane: SimControlPlane) -> None:
    answer = plane.client.delete("/api/v1/ca")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    assert answer.json()["error"]["message"].startswith("DELETE means nothing at this path")


def test_a_body_that_is_no_json_gets_a_sentence(plane: SimControlPlane) -> None:
    for content, said in (
        (b"{", "the body is not JSON: expecting property name enclosed in double quotes at character 1"),
        (b"", "the body is needed"),
        (b"[]", "the body must be an object in JSON"),
        (b'{"nam": "a", "name": "b"}', "nam is no field here"),
        (b"{}", "name is needed"),
        (b'{"name": "\xff"}', "the body cannot be read; send an object as JSON, in UTF-8"),
    ):
        answer = plane.client.post("/api/v1/apitokens", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["message"]) == (422, said)


def test_every_error_class_is_mapped_before_its_base() -> None:
    kinds = [kind for kind, _, _ in STATUS]
    assert all(not issubclass(later, kind) for n, kind in enumerate(kinds) for later in kinds[n + 1 :])


def test_a_log_line_is_json_and_hides_camera_credentials() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 1, "camera at %s", ("rtsp://user:secret@host/a",), None)
    record.node = "quay-1"
    line = json.loads(JsonLines().format(record))
    assert line["message"] == "camera at rtsp://***@host/a"
    assert (line["node"], line["level"], line["logger"]) == ("quay-1", "info", "x")
