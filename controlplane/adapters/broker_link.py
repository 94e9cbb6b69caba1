"""The connection to the broker that the configuration names, with a certificate in the control plane's own name.

Beside it lies another one, for the application that listens to events (docs/events.md).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from controlplane.adapters.authority_files import write_pair
from controlplane.adapters.mqtt_in import BrokerSettings, MqttIn
from controlplane.config import Config
from controlplane.ports import Clock
from controlplane.trust.domain import CONTROL_PLANE_USER, EVENTS_USER, replica_user
from controlplane.trust.ports import Authority

CERTIFICATE_DAYS = 730.0  # made anew at each start
NO_BROKER = "no broker is configured, so boxes keep their telemetry; start the control plane with --broker-url"


def broker_link(config: Config, authority: Authority, ca_folder: Path, clock: Clock) -> MqttIn | None:
    """None without a broker. Raises Fatal when the certificate can't be used."""
    broker = config.broker
    if broker is None:
        return None
    user = replica_user(CONTROL_PLANE_USER, config.replica)
    settings = BrokerSettings(broker.host, broker.port, config.broker_mqtt5, user=user)
    if broker.tls:
        pair = authority.issue_client(user, clock.unix(), CERTIFICATE_DAYS)
        certificate, key = write_pair(ca_folder, "ingest", pair)
        write_pair(ca_folder, "events", authority.issue_client(EVENTS_USER, clock.unix(), CERTIFICATE_DAYS))
        settings = replace(settings, ca=ca_folder / "ca.pem", certificate=certificate, key=key)
    return MqttIn(settings, clock)
