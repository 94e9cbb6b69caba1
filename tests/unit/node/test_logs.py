"""The log is the last gate: no credential gets past it, whoever wrote the line."""

from __future__ import annotations

import json
import logging

import pytest

from agent.logs import Forwarder, JsonLines, masked
from protos.fleet_pb2 import LogLine

TOKEN = "LS1." + "a" * 64 + ".abcdefgh." + "S" * 43


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("agent.x", logging.INFO, "", 0, message, arguments, None)


def test_credentials_and_join_tokens_are_masked() -> None:
    line = masked(f"open rtsp://admin:hunter2@10.0.0.7/main and {TOKEN}")
    assert "hunter2" not in line
    assert "SSSS" not in line
    assert "rtsp://***@10.0.0.7/main" in line


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://admin:hun@ter2@10.0.0.7/main",
        "rtsp://10.0.0.7/live?user=admin&password=hunter2",
        "rtsp://10.0.0.7/user=admin_password=hunter2_channel=1.sdp",
    ],
)
def test_careless_credentials_are_masked_whole(source: str) -> None:
    assert "ter2" not in masked(f"cannot open {source}")


def test_a_line_is_json_and_names_its_node() -> None:
    line = json.loads(JsonLines("quay-7").format(record("camera %s", "rtsp://u:p@h/")))
    assert line["node"] == "quay-7"
    assert line["message"] == "camera rtsp://***@h/"


def test_viewers_get_masked_lines_too() -> None:
    said: list[LogLine] = []
    Forwarder(said.append).handle(record("rtsp://u:secret@h/"))
    assert said[0].message == "rtsp://***@h/"
