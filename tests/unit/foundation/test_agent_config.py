"""What an agent is told at its start: defaults, environment, flags, and what makes no sense."""

from __future__ import annotations

import pytest

from agent.config import AgentConfig, from_environment
from agent.door import shares
from agent.door.shares import Partition
from agent.telemetry.caps import SHARES, Caps, caps
from agent.telemetry.classes import RecordClass
from agent.telemetry.settings import Form, Limits
from protos.errors import Rejected


def test_a_flag_wins_over_the_environment() -> None:
    config = from_environment(
        {"LONGSHORE_AGENT_HTTP_PORT": "9000", "LONGSHORE_AGENT_GRPC_PORT": "9001"}, http_port=7000
    )
    assert (config.http_port, config.grpc_port, config.metrics_port) == (7000, 9001, 8002)


def test_a_number_that_is_none_is_named_with_its_key() -> None:
    with pytest.raises(Rejected, match="LONGSHORE_AGENT_THREADS='two' must be a number"):
        from_environment({"LONGSHORE_AGENT_THREADS": "two"})


@pytest.mark.parametrize("name", ["http_port", "grpc_port", "metrics_port"])
@pytest.mark.parametrize("port", [-5, 65_536, 99_999])
def test_a_port_that_there_is_not_is_refused_and_no_other_taken_for_it(name: str, port: int) -> None:
    with pytest.raises(Rejected, match=rf"^LONGSHORE_AGENT_{name.upper()} must be from 0 to 65535, not {port}$"):
        from_environment({}, **{name: port})


@pytest.mark.parametrize("name", ["THREADS", "CONFIRM_SECONDS", "OUTBOX_BYTES", "DECISION_LOG", "DECISION_LOG_BYTES"])
def test_what_is_less_than_nothing_is_refused(name: str) -> None:
    with pytest.raises(Rejected, match=f"^LONGSHORE_AGENT_{name} must be 0 or more, not -1"):
        from_environment({f"LONGSHORE_AGENT_{name}": "-1"})


def test_a_share_of_decisions_is_from_nothing_to_all() -> None:
    assert from_environment({"LONGSHORE_AGENT_DECISION_LOG": "1"}).decision_log == 1.0
    with pytest.raises(Rejected, match=r"^LONGSHORE_AGENT_DECISION_LOG must be a share from 0 to 1, not 1\.5$"):
        from_environment({"LONGSHORE_AGENT_DECISION_LOG": "1.5"})


def test_a_time_that_is_no_number_or_never_ends_is_refused() -> None:
    for text in ("nan", "inf"):
        with pytest.raises(Rejected, match=f"CONFIRM_SECONDS must be 0 or more, not {text}"):
            from_environment({"LONGSHORE_AGENT_CONFIRM_SECONDS": text})


@pytest.mark.parametrize("listen", ["0.0.0.0", "::", ""])
def test_others_are_not_told_to_dial_a_wildcard(listen: str) -> None:
    with pytest.raises(Rejected, match="--advertise"):
        from_environment({}, listen=listen)
    assert from_environment({}, listen=listen, advertise="box.example").dialled == "box.example"


def test_an_address_of_six_is_told_as_urls_want_it() -> None:
    assert from_environment({}, listen="fd00::5").dialled == "[fd00::5]"


@pytest.mark.parametrize(
    ("told", "quota", "bound"),
    [(0, 0, 256 << 20), (0, 1 << 30, 1 << 30), (64 << 20, 1 << 30, 64 << 20), (64 << 20, 0, 64 << 20), (1 << 30, 5, 5)],
)
def test_an_outbox_keeps_within_what_box_and_fleet_allow(told: int, quota: int, bound: int) -> None:
    assert AgentConfig(outbox_bytes=told).outbox_bound(quota) == bound


def test_classes_of_telemetry_may_be_told_their_share_and_age() -> None:
    told = caps("debug=10%/12h, alarm=50%/30d", "K")
    assert (told.shares[RecordClass.DEBUG], told.ages[RecordClass.DEBUG]) == (0.1, 43_200)
    assert (told.shares[RecordClass.ALARM], told.ages[RecordClass.ALARM]) == (0.5, 30 * 86_400)
    assert told.shares[RecordClass.METRIC] == SHARES[RecordClass.METRIC]
    assert caps("", "K") == Caps()


@pytest.mark.parametrize("text", ["debug", "gap=10%/1d", "debug=0%/1d", "debug=101%/1d", "debug=10%/1w", "x=1%/1d"])
def test_a_cap_that_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(Rejected, match=r"LONGSHORE_AGENT_OUTBOX_CAPS: .* must be like debug=30%/7d"):
        from_environment({"LONGSHORE_AGENT_OUTBOX_CAPS": text})


def test_the_form_of_telemetry_is_one_that_is_known() -> None:
    assert from_environment({"LONGSHORE_AGENT_TELEMETRY_FORM": "json"}).sending.form is Form.JSON
    with pytest.raises(Rejected, match="LONGSHORE_AGENT_TELEMETRY_FORM must be one of protobuf, json, not 'xml'"):
        from_environment({"LONGSHORE_AGENT_TELEMETRY_FORM": "xml"})


def test_what_waited_goes_out_as_fast_as_the_box_is_told() -> None:
    assert AgentConfig().sending.backfill == Limits()
    told = {"LONGSHORE_AGENT_BACKFILL_RECORDS_PER_SECOND": "50", "LONGSHORE_AGENT_BACKFILL_BYTES_PER_SECOND": "0"}
    assert from_environment(told).sending.backfill == Limits(50, 0)
    with pytest.raises(Rejected, match="BACKFILL_BYTES_PER_SECOND must be 0 or more"):
        from_environment({"LONGSHORE_AGENT_BACKFILL_BYTES_PER_SECOND": "-1"})


def test_shares_of_partitions_are_told_as_percents_that_add_up() -> None:
    assert from_environment({}).shares == shares.SHARES
    told = from_environment({"LONGSHORE_AGENT_PARTITIONS": "batch=10, live=60,hard=30"}).shares
    assert list(told.items()) == [(Partition.LIVE, 0.6), (Partition.HARD, 0.3), (Partition.BATCH, 0.1)]


@pytest.mark.parametrize(
    "text",
    ["", "live=80,hard=15", "live=80,hard=15,batch=6", "live=85,hard=15,batch=0", "live=a,hard=15,batch=5", "x=1"],
)
def test_shares_that_make_no_whole_are_refused(text: str) -> None:
    with pytest.raises(Rejected, match="LONGSHORE_AGENT_PARTITIONS"):
        from_environment({"LONGSHORE_AGENT_PARTITIONS": text})
