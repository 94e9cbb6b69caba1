"""Configuration: flags over environment, units checked, one sentence when wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.config import Config, load
from protos.errors import Fatal


def test_a_flag_wins_over_the_environment(tmp_path: Path) -> None:
    environment = {"LONGSHORE_HTTPS_PORT": "9443", "LONGSHORE_GRPC_PORT": "9444", "OTHER": "1"}
    config = load(environment, state=str(tmp_path), https_port="7443", grpc_port=None)
    assert (config.https_port, config.grpc_port, config.http_port) == (7443, 9444, 8080)


def test_the_state_folder_is_needed() -> None:
    with pytest.raises(Fatal, match="--state"):
        load({})


@pytest.mark.parametrize("value", ["x", "", "1.5"])
def test_a_port_must_be_a_number(value: str) -> None:
    with pytest.raises(Fatal, match="LONGSHORE_HTTPS_PORT must be a whole number"):
        load({"LONGSHORE_HTTPS_PORT": value}, state="x")


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_must_exist(port: int) -> None:
    with pytest.raises(Fatal, match="--grpc-port"):
        load({}, state="x", grpc_port=port)


@pytest.mark.parametrize("url", ["localhost:1883", "http://x", "mqtt://", "mqtt://h:port", "mqtts://[x"])
def test_a_broker_url_must_name_a_broker(url: str) -> None:
    with pytest.raises(Fatal, match="mqtt://"):
        load({}, state="x", broker_url=url)


@pytest.mark.parametrize(("text", "on"), [("1", True), ("true", True), ("0", False), ("no", False), ("", False)])
def test_switches_are_read_from_the_environment(text: str, *, on: bool) -> None:
    assert load({"LONGSHORE_BROKER_MQTT5": text}, state="x").broker_mqtt5 is on


def test_boxes_are_told_the_advertised_name() -> None:
    config = Config(state=Path("/s"), host="0.0.0.0", advertise_host="fleet.example")
    assert (config.base_url, config.fleet_address) == ("https://fleet.example:8443", "fleet.example:8444")
    assert config.server_names == ("localhost", "127.0.0.1", "::1", "fleet.example")


def test_an_ipv6_address_is_bracketed() -> None:
    assert Config(state=Path("/s"), host="::1").base_url == "https://[::1]:8443"


def test_a_wildcard_is_no_name_for_boxes() -> None:
    assert Config(state=Path("/s"), host="0.0.0.0").advertised == "127.0.0.1"


def test_the_database_lies_in_the_state_folder_unless_named(tmp_path: Path) -> None:
    assert Config(state=tmp_path).database == f"sqlite:///{tmp_path}/controlplane/longshore.db"
    assert Config(state=tmp_path, database_url="postgresql://x/y").database == "postgresql://x/y"
