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


def test_a_wrong_number_is_named_as_it_was_given() -> None:
    with pytest.raises(Fatal, match="--https-port must be a whole number, not 'x'"):
        load({"LONGSHORE_HTTPS_PORT": "8443"}, state="x", https_port="x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sync_interval_seconds", 0),
        ("sync_interval_seconds", -1),
        ("certificate_days", 0),
        ("late_renewal_days", -1),
        ("join_token_ttl_seconds", 0),
        ("grant_seconds", 0),
        ("max_file_bytes", -5),
    ],
)
def test_a_number_must_make_sense(name: str, value: int) -> None:
    with pytest.raises(Fatal, match=f"--{name.replace('_', '-')} must be at least"):
        load({}, state="x", **{name: value})


def test_an_unknown_log_level_is_refused_with_the_known_ones() -> None:
    assert load({"LONGSHORE_LOG_LEVEL": "DEBUG"}, state="x").log_level == "DEBUG"
    with pytest.raises(Fatal, match="--log-level must be one of debug, info"):
        load({}, state="x", log_level="foo")


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


@pytest.mark.parametrize(("host", "advertise"), [("0.0.0.0", ""), ("::", ""), ("", ""), ("10.0.0.5", "0.0.0.0")])
def test_a_wildcard_is_no_name_for_boxes(host: str, advertise: str) -> None:
    with pytest.raises(Fatal, match="--advertise-host"):
        Config(state=Path("/s"), host=host, advertise_host=advertise)


def test_an_address_of_six_is_bracketed_where_a_port_follows() -> None:
    config = Config(state=Path("/s"), host="fd00::5")
    assert (config.base_url, config.fleet_address) == ("https://[fd00::5]:8443", "[fd00::5]:8444")


def test_the_database_lies_in_the_state_folder_unless_named(tmp_path: Path) -> None:
    assert Config(state=tmp_path).database == f"sqlite:///{tmp_path}/controlplane/longshore.db"
    assert Config(state=tmp_path, database_url="postgresql://x/y").database == "postgresql://x/y"


@pytest.mark.parametrize("number", [0, 9])
def test_a_replica_has_a_number_that_the_rules_of_the_broker_name(number: int) -> None:
    with pytest.raises(Fatal, match="--replica must be a number from 1 to 8"):
        load({}, state="x", replica=str(number))
    assert load({"LONGSHORE_REPLICA": "8"}, state="x").replica == 8
