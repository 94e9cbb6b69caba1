"""A control plane that only ingests, in a process of its own that may be killed at any moment.

python -m tests.sim.telemetry_plane FOLDER HOST PORT MQTT5 DATABASE_URL
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from prometheus_client import CollectorRegistry

from controlplane.adapters.clock import SystemClock
from controlplane.adapters.mqtt_in import BrokerSettings, MqttIn
from controlplane.db import Database
from controlplane.ingest.loop import IngestLoop
from controlplane.ingest.service import IngestService


def main() -> None:
    folder, host, port, mqtt5, url = sys.argv[1:]
    files = [Path(folder) / name for name in ("ca.pem", "cert.pem", "key.pem")]
    clock = SystemClock()
    source = MqttIn(BrokerSettings(host, int(port), mqtt5 == "1", *files), clock)
    service = IngestService(Database(url), clock)

    def presence(name: str, *, online: bool, boot_id: str = "", retained: bool = False) -> None:
        """Of no interest here."""

    IngestLoop(source, service, presence, CollectorRegistry()).start()
    source.start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
