"""Beyond loopback a box may join only where the broker demands client certificates."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.config import Config
from controlplane.identity.domain import broker_problem


@pytest.mark.parametrize(
    ("advertise", "broker", "fine"),
    [
        ("", "", True),  # all on this machine
        ("", "mqtt://127.0.0.1:1883", True),
        ("localhost", "mqtt://127.0.0.1:1883", True),
        ("fleet.example", "mqtts://fleet.example:8883", True),
        ("fleet.example", "mqtt://fleet.example:1883", False),
        ("fleet.example", "mqtts://127.0.0.1:8883", False),  # boxes cannot reach it
        ("fleet.example", "", False),
        ("10.0.0.5", "mqtt://127.0.0.1:1883", False),
    ],
)
def test_the_broker_that_boxes_are_told_decides(tmp_path: Path, advertise: str, broker: str, *, fine: bool) -> None:
    problem = broker_problem(Config(state=tmp_path, advertise_host=advertise, broker_url=broker))
    assert (problem is None) is fine


def test_the_sentence_names_the_package_and_the_flag(tmp_path: Path) -> None:
    problem = broker_problem(Config(state=tmp_path, advertise_host="fleet.example"))
    assert problem is not None
    assert "'mosquitto'" in problem
    assert "--broker-advertise-url" in problem


def test_a_broker_for_boxes_may_differ_from_ours(tmp_path: Path) -> None:
    config = Config(
        state=tmp_path,
        advertise_host="fleet.example",
        broker_url="mqtt://127.0.0.1:1883",
        broker_advertise_url="mqtts://fleet.example",
    )
    assert broker_problem(config) is None
    assert config.broker_for_boxes is not None
    assert config.broker_for_boxes.port == 8883
