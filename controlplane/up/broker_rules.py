"""Who may do what on the broker, once, for both brokers: pure text and values.

The user is the common name of the client's certificate, which only our CA gives, and its client id: nobody can throw
anybody else out. A box writes telemetry, presence and
events of its own and reads desired and ack of its own (protos.topics); applications read events and presence of all;
the control plane may do everything below the root, and so may each of its replicas, which have names of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from controlplane.ports import MAX_MESSAGE_BYTES
from controlplane.trust.domain import EVENTS_USER, REPLICAS, replica_user
from protos import topics
from protos.errors import LongshoreError
from protos.topics import NODE_READS, NODE_WRITES, ROOT, Channel


@dataclass(frozen=True)
class Listener:
    """Where a broker listens, and what it shows and demands."""

    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path


def may(user: str, topic: str, *, writes: bool, control_plane: str) -> bool:
    """Whether `user` may publish to (`writes`) or get messages of `topic`; a subscription filter is a topic here."""
    if user in _replicas(control_plane):
        return topic.startswith(f"{ROOT}/")
    if user == EVENTS_USER:
        return not writes and _for_applications(topic)
    if writes and topic.startswith(f"{ROOT}/{user}/{topics.EVENTS}/"):
        return topic.count("/") == 4
    try:
        node, channel = topics.parse(topic)
    except LongshoreError:
        return False
    return node == user and channel in (NODE_WRITES if writes else NODE_READS)


def _for_applications(topic: str) -> bool:
    """Of any box; `topic` may be a filter."""
    match topic.removeprefix(f"{ROOT}/").split("/"):
        case [_, Channel.PRESENCE] | [_, topics.EVENTS, _]:
            return topic.startswith(f"{ROOT}/")
    return False


def _replicas(control_plane: str) -> list[str]:
    return [replica_user(control_plane, number) for number in range(1, REPLICAS + 1)]


def mosquitto_acl(control_plane: str) -> str:
    """The same rules as mosquitto's ACL file."""
    lines = [f"pattern write {ROOT}/%u/{channel}" for channel in (*NODE_WRITES, f"{topics.EVENTS}/+")]
    lines += [f"pattern read {ROOT}/%u/{channel}" for channel in NODE_READS]
    for user in _replicas(control_plane):
        lines += [f"user {user}", f"topic readwrite {ROOT}/#"]
    lines += [f"user {EVENTS_USER}", f"topic read {topics.EVERY_EVENT}"]
    lines += [f"topic read {topics.every_node(Channel.PRESENCE)}"]
    return "\n".join(lines) + "\n"


def mosquitto_conf(listener: Listener, acl: Path, *, as_root: bool) -> str:
    """A broker that holds nothing on disk, admits certificates of our CA only, and names clients by them.

    Without use_username_as_clientid, another box's certificate with the same client id throws the first one out.
    """
    lines = [
        *(["user root"] if as_root else []),  # by itself it changes to an account that cannot read the key
        "persistence false",
        "per_listener_settings false",
        f"listener {listener.port} {listener.host}",
        f"cafile {listener.ca}",
        f"certfile {listener.certificate}",
        f"keyfile {listener.key}",
        "tls_version tlsv1.2",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "allow_anonymous false",
        f"acl_file {acl}",
        "set_tcp_nodelay true",
        "max_inflight_messages 100",
        f"max_packet_size {MAX_MESSAGE_BYTES}",
        "log_dest stdout",
        "log_type error",
        "log_type warning",
        "log_type notice",
    ]
    return "\n".join(lines) + "\n"
