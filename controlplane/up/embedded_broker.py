"""The broker for machines without mosquitto: amqtt in a process of its own, speaking MQTT 3.1.1 over TLS.

    python -m controlplane.up.embedded_broker --host H --port N --ca F --certificate F --key F --control-plane NAME

- A client without a certificate of our CA does not get past the TLS handshake: amqtt itself would only ask for one.
- The client id must be the certificate's common name, checked at CONNECT: amqtt authenticates only after it has
  thrown out the session of that client id, so that any box could silence any other.
- A client gets retained messages of its own subscriptions: amqtt sends those of everybody's to whoever connects.
- A packet above ports.MAX_MESSAGE_BYTES ends its connection: amqtt itself would take up to 256 MiB into memory.
- Nothing is kept: the outbox sends again whatever a restart loses.

amqtt is named here and nowhere else.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import amqtt.broker
from amqtt.adapters import ReaderAdapter, WriterAdapter
from amqtt.broker import Broker, BrokerContext
from amqtt.contexts import Action, BrokerConfig, ListenerConfig
from amqtt.errors import MQTTError
from amqtt.mqtt.connack import NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.plugins.manager import PluginManager
from amqtt.session import Session

from controlplane.ports import MAX_MESSAGE_BYTES
from controlplane.up.broker_rules import Listener, may

log = logging.getLogger("longshore.broker")
_HERE = "controlplane.up.embedded_broker"


class NamedByCertificate(BrokerProtocolHandler):
    """A connection whose client id is the name in its certificate, or none at all."""

    @classmethod
    async def init_from_connect(
        cls,
        reader: ReaderAdapter,
        writer: WriterAdapter,
        plugins_manager: PluginManager[BrokerContext],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> tuple[BrokerProtocolHandler, Session]:
        handler, session = await super().init_from_connect(reader, writer, plugins_manager, loop)
        if session.client_id != common_name(session):
            await ConnackPacket.build(0, NOT_AUTHORIZED).to_stream(writer)
            await writer.close()
            raise MQTTError(f"client id {session.client_id!r} is not the name in its certificate")
        return handler, session


class BoundedReader(ReaderAdapter):
    """What a client sends, packet by packet: amqtt asks for the whole rest of one at once."""

    def __init__(self, reader: ReaderAdapter) -> None:
        self._reader = reader

    async def read(self, n: int = -1) -> bytes:
        if n > MAX_MESSAGE_BYTES:
            raise ValueError(f"a packet of {n} bytes; a client may send {MAX_MESSAGE_BYTES}")
        read: bytes = await self._reader.read(n)
        return read

    def feed_eof(self) -> None:
        self._reader.feed_eof()


class GuardedBroker(Broker):
    """amqtt, made to demand certificates, to bound packets and to keep what is retained to whom it is for."""

    async def _client_connected(self, listener_name: str, reader: ReaderAdapter, writer: WriterAdapter) -> None:
        await super()._client_connected(listener_name, BoundedReader(reader), writer)

    @staticmethod
    def _create_ssl_context(listener: ListenerConfig) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(listener.cafile))
        context.load_cert_chain(str(listener.certfile), str(listener.keyfile))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        holders = self._subscriptions.get(subscription[0], [])
        if any(holder.client_id == session.client_id for holder, _ in holders):
            await super()._publish_retained_messages_for_subscription(subscription, session)


def common_name(session: Session) -> str:
    """The name in the certificate this client proved to have, or ""."""
    certificate = session.ssl_object.getpeercert() if session.ssl_object else None
    subject = (certificate or {}).get("subject", ())
    return next((value for part in subject for key, value in part if key == "commonName"), "")


class Admitted(BaseAuthPlugin):
    """Whoever passed NamedByCertificate is in; amqtt refuses everybody without one plugin that says so."""

    async def authenticate(self, *, session: Session) -> bool | None:
        return bool(session.client_id) and session.client_id == common_name(session)


class OwnTopicsOnly(BaseTopicPlugin):
    """The rules of broker_rules, asked for every subscription, publication and delivery."""

    @dataclass
    class Config:
        control_plane: str = ""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        if session is None or topic is None:
            return False
        user = session.client_id or ""
        return may(user, topic, writes=action is Action.PUBLISH, control_plane=self.config.control_plane)


def configuration(listener: Listener, control_plane: str) -> BrokerConfig:
    """One TLS listener and our two plugins, nothing of amqtt's defaults."""
    where = ListenerConfig(
        bind=f"{listener.host}:{listener.port}",
        ssl=True,
        cafile=listener.ca,
        certfile=listener.certificate,
        keyfile=listener.key,
    )
    plugins: dict[str, Any] = {
        f"{_HERE}.Admitted": {},
        f"{_HERE}.OwnTopicsOnly": {"control_plane": control_plane},
    }
    return BrokerConfig(listeners={"default": where}, plugins=plugins)


async def serve(listener: Listener, control_plane: str) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    amqtt.broker.BrokerProtocolHandler = NamedByCertificate  # the name by which amqtt makes them
    broker = GuardedBroker(configuration(listener, control_plane))
    await broker.start()
    log.info("listening on %s:%d", listener.host, listener.port)
    await stop.wait()
    await broker.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(prog="longshore embedded broker")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    for name in ("ca", "certificate", "key"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--control-plane", required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    log.setLevel(logging.INFO)
    # amqtt reports each connection that ends without DISCONNECT as an error, with its stack.
    logging.getLogger("transitions").setLevel(logging.ERROR)
    listener = Listener(given.host, given.port, given.ca, given.certificate, given.key)
    asyncio.run(serve(listener, given.control_plane))


if __name__ == "__main__":
    main()
