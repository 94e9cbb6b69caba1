"""Events from a box to an application: the example of the documentation, at real brokers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.adapters.mqtt import MOST_EVENTS, MqttLink
from agent.adapters.mqtt_events import MqttEvents, Place, place
from agent.telemetry.events import event
from agent.types import Box
from controlplane.trust.domain import EVENTS_USER
from protos.errors import Rejected
from protos.ids import CameraName, NodeId
from tests.servers.brokers import ControlPlaneEar, TlsBroker
from tests.servers.mosquitto import Mosquitto
from tests.sim.telemetry import TAP, finished

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "watch_events.py"
NODE, GATE = NodeId("quay-1"), CameraName("gate")
BOAT = Box(0.4, 0.5, 0.6, 0.7, 0.93, "boat", ("water-edge",))
EVENT = event(NODE, finished(7, boxes=(BOAT,), captured_unix_ns=1_795_470_667_402_113_000))
SHOWN = f"2026-11-23T21:51:07.402Z  quay-1/{TAP.camera}  boat 0.93 in water-edge"
SECONDS = 15.0


class Application:
    """The example, running."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, str(EXAMPLE), *words]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    async def line_while(self, act: Callable[[], object]) -> str:
        """What it prints, while `act` is done again and again: who listens later has missed what was told before."""
        assert self._process.stdout is not None
        line = asyncio.create_task(asyncio.to_thread(self._process.stdout.readline))
        async with asyncio.timeout(SECONDS):
            while not line.done():
                act()
                await asyncio.wait({line}, timeout=0.1)
        return line.result().rstrip()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(params=[pytest.param("mosquitto", marks=pytest.mark.mosquitto), "embedded"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TlsBroker]:
    made = TlsBroker(request.param, tmp_path)
    await asyncio.to_thread(made.start)
    yield made
    made.kill()


async def test_an_application_hears_what_a_box_tells_at_the_fleets_broker(broker: TlsBroker) -> None:
    files = broker.files(EVENTS_USER)
    words = ["--port", str(broker.listener.port), "--ca", str(files.ca)]
    application = Application(*words, "--certificate", str(files.certificate), "--key", str(files.key))
    link = MqttLink(broker.settings(NODE), chance=lambda: 0.0)
    link.start()
    try:
        assert await application.line_while(lambda: link.tell(GATE, EVENT)) == SHOWN
    finally:
        application.close()
        await link.close()


@pytest.mark.mosquitto
async def test_an_application_beside_the_box_hears_it_at_a_broker_of_the_box(mosquitto: Mosquitto) -> None:
    application = Application("--port", str(mosquitto.port), "--topic", "longshore/v1/quay-1/events/gate")
    events = MqttEvents(NODE, Place(mosquitto.host, mosquitto.port))
    assert not events.tell(GATE, EVENT)  # nobody is there yet
    events.start()
    try:
        assert await application.line_while(lambda: events.tell(GATE, EVENT)) == SHOWN
    finally:
        application.close()
        await asyncio.to_thread(events.close)


async def test_without_a_broker_events_are_dropped_and_telemetry_does_not_wait_for_them(broker: TlsBroker) -> None:
    link = MqttLink(broker.settings(NODE), chance=lambda: 0.0)
    assert not link.tell(GATE, EVENT)
    ear = await asyncio.to_thread(ControlPlaneEar, broker)
    link.start()
    try:
        async with asyncio.timeout(SECONDS):
            while not link.connected:  # noqa: ASYNC110 - paho's thread changes it
                await asyncio.sleep(0.02)
        told = [link.tell(GATE, EVENT) for _ in range(10 * MOST_EVENTS)]  # in one turn of the loop: none is sent yet
        assert sum(told) == MOST_EVENTS
        await link.publish(b"telemetry")
        async with asyncio.timeout(SECONDS):
            while not link.tell(GATE, EVENT):  # noqa: ASYNC110 - there is room again when paho's thread has sent
                await asyncio.sleep(0.02)
    finally:
        await link.close()
        await asyncio.to_thread(ear.close)


@pytest.mark.parametrize(
    "url", ["mqtt://10.0.0.7:1883", "mqtts://127.0.0.1", "127.0.0.1:1883", "mqtt://u:p@localhost", ""]
)
def test_a_broker_of_the_box_is_on_the_box(url: str) -> None:
    with pytest.raises(Rejected, match="must be one on this box, such as mqtt://127"):
        place(url)
    assert place("mqtt://localhost") == Place("localhost", 1883)
