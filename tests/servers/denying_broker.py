"""The embedded broker with a rule more: it takes no telemetry, of no box.

python -m tests.servers.denying_broker, with the embedded broker's own options
"""

from __future__ import annotations

from controlplane.up import embedded_broker
from controlplane.up.broker_rules import may
from protos.topics import Channel


def denying(user: str, topic: str, *, writes: bool, control_plane: str) -> bool:
    return not (writes and topic.endswith(f"/{Channel.TELEMETRY}")) and may(
        user, topic, writes=writes, control_plane=control_plane
    )


if __name__ == "__main__":
    vars(embedded_broker)["may"] = denying  # by which its plugin calls the rule
    embedded_broker.main()
