"""Beyond loopback a box may join only where the broker demands client certificates."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.config import Config
from controlplane.identity.domain import broker_problem


@pytest.mark.parametrize(
    ("host", "advertise", "broker", "fine"),
    [
        ("127.0.0.1", "", "", True),  # all on this machine
        ("127.0.0.1", "", "mqtt://127.0.0.1:1883", True),
        ("127.0.0.1", "localhost", "mqtt://127.0.0.1:1883", True),
        ("127.0.0.1", "fleet.example", "mqtts://fleet.example:8883", True),
        ("0.0.0.0", "fleet.example", "mqtts://fleet.example:8883", True),
        ("127.0.0.1", "fleet.example", "mqtt://fleet.example:1883", False),
        ("127.0.0.1", "fleet.example", "mqtts://127.0.0.1:8883", False),  # boxes cannot reach it
        ("127.0.0.1", "fleet.example", "", False),
        ("127.0.0.1", "10.0.0.5", "mqtt://127.0.0.1:1883", False),
        ("127.0.0.1", "", "mqtt://10.0.0.5:1883", False),
        ("10.0.0.5", "", "mqtts://10.0.0.5:8883", True),
        ("10.0.0.5", "", "mqtts://127.0.0.1:8883", False),
        ("10.0.0.5", "", "mqtt://127.0.0.1:1883", False),
        ("0.0.0.0", "fleet.example", "", False),
    ],
)
def test_where_boxes_come_from_and_how_the_broker_is_dialled_decide(
    tmp_path: Path, host: str, advertise: str, broker: str, *, fine: bool
) -> None:
    problem = broker_problem(Config(state=tmp_path, host=host, advertise_host=advertise, broker_url=broker))
    assert (problem is None) is fine


def test_a_broker_dialled_without_tls_beyond_this_machine_is_named(tmp_path: Path) -> None:
    safe = "mqtts://fleet.example:8883"
    config = Config(state=tmp_path, broker_url="mqtt://10.0.0.5:1883", broker_advertise_url=safe)
    problem = broker_problem(config)
    assert problem is not None
    assert "10.0.0.5 is dialled without TLS" in problem


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
