"""MQTT topics, built and parsed here and nowhere else.

    longshore/v1/<node>/desired     retained, control plane → node    DesiredHint: "sync now"
    longshore/v1/<node>/ack         control plane → node              TelemetryAck
    longshore/v1/<node>/telemetry   QoS 1, node → control plane       TelemetryBatch
    longshore/v1/<node>/presence    retained + last will, node → all  Presence
    longshore/v1/<node>/events/<camera>    QoS 0, node → applications  JSON, see docs/events.md

A node may write telemetry, presence and events of its own and read desired and ack of its own, nothing else.
"""

from __future__ import annotations

from enum import StrEnum

from protos.errors import Rejected
from protos.ids import CameraName, NodeId, node_id

ROOT = "longshore/v1"


class Channel(StrEnum):
    DESIRED = "desired"
    ACK = "ack"
    TELEMETRY = "telemetry"
    PRESENCE = "presence"


NODE_WRITES = (Channel.TELEMETRY, Channel.PRESENCE)
NODE_READS = (Channel.DESIRED, Channel.ACK)


def topic(node: NodeId, channel: Channel) -> str:
    return f"{ROOT}/{node}/{channel}"


EVENTS = "events"
EVERY_EVENT = f"{ROOT}/+/{EVENTS}/+"  # the subscription filter


def events(node: NodeId, camera: CameraName) -> str:
    """Where applications hear what a camera sees."""
    return f"{ROOT}/{node}/{EVENTS}/{camera}"


def every_node(channel: Channel) -> str:
    """The subscription filter that matches `channel` of all nodes."""
    return f"{ROOT}/+/{channel}"


def shared(filter_: str, group: str) -> str:
    """The subscription filter under which each message goes to one of the group (MQTT 5)."""
    return f"$share/{group}/{filter_}"


def parse(text: str) -> tuple[NodeId, Channel]:
    """The inverse of `topic`.

    Raises:
        Rejected: not one of our topics.
    """
    prefix, _, rest = text.partition(f"{ROOT}/")
    node, _, channel = rest.partition("/")
    if prefix or channel not in tuple(Channel):
        raise Rejected(f"{text!r} is no Longshore topic")
    return node_id(node), Channel(channel)
