"""A control plane that only ingests, in a process of its own that may be killed at any moment.

python -m tests.sim.telemetry_plane FOLDER HOST PORT MQTT5 DATABASE_URL [REPLICA] [METRICS_PORT] [PROTECTION]

PROTECTION is taken away, see tests.sim.telemetry_faults.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server

from controlplane.adapters.clock import SystemClock
from controlplane.adapters.mqtt_in import BrokerSettings, MqttIn
from controlplane.db import Database
from controlplane.ingest.loop import IngestLoop
from controlplane.ingest.service import IngestService
from controlplane.trust.domain import CONTROL_PLANE_USER, replica_user
from tests.sim import telemetry_faults


def main() -> None:
    folder, host, port, mqtt5, url, *more = sys.argv[1:]
    replica, metrics_port = ([int(each) for each in more[:2]] + [1, 0][len(more) :])[:2]
    telemetry_faults.plant("".join(more[2:]), Path(folder))
    ca, certificate, key = (Path(folder) / name for name in ("ca.pem", "cert.pem", "key.pem"))
    clock = SystemClock()
    user = replica_user(CONTROL_PLANE_USER, replica)
    source = MqttIn(BrokerSettings(host, int(port), mqtt5 == "1", ca, certificate, key, user), clock)
    service = IngestService(Database(url), clock)

    def presence(name: str, *, online: bool, boot_id: str = "", retained: bool = False) -> None:
        """Of no interest here."""

    registry = CollectorRegistry()
    if metrics_port:
        start_http_server(metrics_port, "127.0.0.1", registry)
    IngestLoop(source, service, presence, registry).start()
    source.start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
