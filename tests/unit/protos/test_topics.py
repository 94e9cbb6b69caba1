"""MQTT topics: built and parsed by one rule, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import topics
from protos.errors import Rejected
from protos.ids import CameraName, NodeId
from protos.topics import Channel

nodes = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True).map(NodeId)


@given(nodes, st.sampled_from(Channel))
def test_what_is_built_is_parsed_back(node: NodeId, channel: Channel) -> None:
    assert topics.parse(topics.topic(node, channel)) == (node, channel)


@given(st.text("longshre/v1quay-desi+#.\0 ", max_size=40))
def test_what_parses_is_what_would_be_built(text: str) -> None:
    try:
        node, channel = topics.parse(text)
    except Rejected:
        return
    assert topics.topic(node, channel) == text


def test_topics_are_written_as_brokers_and_boxes_know_them() -> None:
    built = [topics.topic(NodeId("quay-1"), channel) for channel in Channel]
    assert built == [f"longshore/v1/quay-1/{word}" for word in ("desired", "ack", "telemetry", "presence")]
    assert topics.every_node(Channel.PRESENCE) == "longshore/v1/+/presence"
    assert topics.events(NodeId("quay-1"), CameraName("gate")) == "longshore/v1/quay-1/events/gate"
    assert topics.EVERY_EVENT == "longshore/v1/+/events/+"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "longshore/v1",
        "longshore/v1/quay-1",
        "longshore/v1/quay-1/",
        "longshore/v1//desired",
        "longshore/v1/quay-1/logs",
        "longshore/v1/quay-1/desired/x",
        "longshore/v1/quay-1/Desired",
        "longshore/v1/a/b/desired",
        "longshore/v1/+/desired",
        "longshore/v1/#",
        "longshore/v1/Quay/desired",
        "longshore/v2/quay-1/desired",
        "x/longshore/v1/quay-1/desired",
        "/longshore/v1/quay-1/desired",
        "longshore/v1/longshore/v1/quay-1/desired",
        "longshore/v1/quay-1/desired\n",
    ],
)
def test_nothing_else_is_a_topic(text: str) -> None:
    with pytest.raises(Rejected):
        topics.parse(text)


def test_a_box_writes_two_channels_and_reads_the_two_others() -> None:
    assert set(topics.NODE_WRITES) == {Channel.TELEMETRY, Channel.PRESENCE}
    assert set(topics.NODE_READS) == {Channel.DESIRED, Channel.ACK}
    assert {*topics.NODE_WRITES, *topics.NODE_READS} == set(Channel)
