"""Both brokers as `longshore up` starts them: TLS, client certificates, rules. They can be killed and come back."""

from __future__ import annotations

import os
import queue
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent.adapters.mqtt import MqttSettings, TlsFiles
from controlplane.adapters.authority_files import load_or_create, write_pair
from controlplane.trust.domain import CONTROL_PLANE_USER
from controlplane.up import plan
from controlplane.up.broker_rules import Listener, mosquitto_acl, mosquitto_conf
from protos.ids import NodeId
from protos.topics import Channel, every_node
from tests.servers.ports import free_port, wait_for
from tests.servers.require import program

KINDS = ("mosquitto", "embedded")
SECONDS = 10.0


class TlsBroker:
    """One broker process and the CA behind it."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.mqtt5 = kind == "mosquitto"
        self._folder = folder
        self._authority = load_or_create(folder, time.time())
        pair = self._authority.issue_server(("localhost", "127.0.0.1"), time.time(), 30)
        self.listener = Listener("127.0.0.1", free_port(), folder / "ca.pem", *write_pair(folder, "broker", pair))
        self.acl = mosquitto_acl(CONTROL_PLANE_USER)  # a test may write other rules, of Mosquitto only
        self._process: subprocess.Popen[bytes] | None = None
        self.denies = False  # it takes no telemetry, from its next start on

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log)
        wait_for(self.listener.port, self._process)

    def kill(self) -> None:
        """As a power cut: no goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def files(self, user: str) -> TlsFiles:
        """A client certificate in the name of `user`."""
        pair = self._authority.issue_client(user, time.time(), 30)
        return TlsFiles(self.listener.ca, *write_pair(self._folder, f"client-{user}", pair))

    def hand_out(self, user: str, folder: Path) -> None:
        """The keys of `user` into `folder`, for a process of its own: ca.pem, cert.pem and key.pem."""
        folder.mkdir(exist_ok=True)
        files = self.files(user)
        for source, name in ((files.ca, "ca.pem"), (files.certificate, "cert.pem"), (files.key, "key.pem")):
            shutil.copy(source, folder / name)

    def settings(self, node: NodeId, birth: bytes = b"birth", will: bytes = b"will") -> MqttSettings:
        """For a box's link."""
        return MqttSettings(
            node, "127.0.0.1", self.listener.port, self.files(node), self.mqtt5, birth, will, b"beat", 60
        )

    def _command(self) -> tuple[str, ...]:
        if self.kind == "embedded":
            return self._embedded()
        acl, conf = self._folder / "acl", self._folder / "mosquitto.conf"
        lines = self.acl.splitlines(keepends=True)
        acl.write_text("".join(line for line in lines if not (self.denies and f"/{Channel.TELEMETRY}" in line)))
        conf.write_text(mosquitto_conf(self.listener, acl, as_root=os.geteuid() == 0))
        return plan.mosquitto(program("mosquitto", "mosquitto"), conf, self.listener).command

    def _embedded(self) -> tuple[str, ...]:
        command = plan.embedded_broker(self.listener, CONTROL_PLANE_USER).command
        if not self.denies:
            return command
        options = command[command.index("--host") :]
        return (sys.executable, "-m", "tests.servers.denying_broker", *options)


class ControlPlaneEar:
    """A client in the control plane's name that writes down what it hears of all boxes; it comes back by itself."""

    def __init__(self, broker: TlsBroker) -> None:
        files = broker.files(CONTROL_PLANE_USER)
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._subscribed: queue.Queue[None] = queue.Queue()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=CONTROL_PLANE_USER, protocol=MQTTProtocolVersion.MQTTv311
        )
        context = ssl.create_default_context(cafile=str(files.ca))
        context.load_cert_chain(str(files.certificate), str(files.key))
        self._client.tls_set_context(context)
        self._client.reconnect_delay_set(1, 1)
        wanted = [(every_node(channel), 1) for channel in (Channel.TELEMETRY, Channel.PRESENCE)]
        self._client.on_connect = lambda client, *_: client.subscribe(wanted)
        self._client.on_subscribe = lambda *_: self._subscribed.put(None)
        self._client.on_message = lambda _c, _u, message: self.heard.put((message.topic, bytes(message.payload)))
        self._client.connect("127.0.0.1", broker.listener.port)
        self._client.loop_start()
        self.wait_subscribed()

    def wait_subscribed(self) -> None:
        self._subscribed.get(timeout=SECONDS)

    def publish(self, where: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(where, payload, qos=1, retain=retain).wait_for_publish(SECONDS)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
