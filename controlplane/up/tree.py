"""`longshore up` from start to end: hold the state, claim the ports, start, watch, stop.

Shutdown has one way: a signal, a second of which kills at once; an essential child that cannot be kept running; an
error while starting. Each ends in `Processes.stop`, bounded below five seconds.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from controlplane.cli.contexts import config_path
from controlplane.trust.domain import CONTROL_PLANE_USER
from controlplane.up import context, credentials, demo, plan
from controlplane.up.boxes import DemoBoxes
from controlplane.up.broker_rules import Listener, mosquitto_acl, mosquitto_conf
from controlplane.up.context import Lent
from controlplane.up.hold import held
from controlplane.up.options import UpOptions
from controlplane.up.plan import Child
from controlplane.up.ports import claim
from controlplane.up.processes import Processes
from controlplane.up.terminal import Screen
from protos.errors import Fatal, Rejected

if TYPE_CHECKING:
    from controlplane.up.fleet import LocalFleet

READY_SECONDS = 60.0  # a slow disk or a cold cache; usually three


def run_tree(options: UpOptions, screen: Screen | None = None) -> None:
    """Run until Ctrl-C.

    Raises:
        Fatal: the state is held, a port is taken, or something could not be kept running.
    """
    with held(options.state, options.page):
        claim(options.ports(len(demo.AGENTS) if options.demo else 0))
        asyncio.run(_run(options, screen or Screen()))


async def _run(options: UpOptions, screen: Screen) -> None:
    """Until told to stop; everything that was started has ended then."""
    screen.title(options)
    processes = Processes(options.logs, screen.note)
    try:
        await _until_the_end(options, processes, screen)
    finally:
        await processes.stop()
        await asyncio.to_thread(_take_back, options, screen)
        screen.stopped()


async def _until_the_end(options: UpOptions, processes: Processes, screen: Screen) -> None:
    stopping = asyncio.create_task(_told_to_stop(processes), name="stop")
    lost = asyncio.create_task(processes.lost(), name="lost")
    bringing = asyncio.create_task(_bring_up(options, processes, screen), name="bring up")
    try:
        await asyncio.wait({bringing, stopping, lost}, return_when=asyncio.FIRST_COMPLETED)
        if bringing.done():
            bringing.result()
            await asyncio.wait({stopping, lost}, return_when=asyncio.FIRST_COMPLETED)
        if lost.done() and not stopping.done():
            raise Fatal(lost.result())
    finally:
        for task in (bringing, stopping, lost):
            task.cancel()
        await asyncio.gather(bringing, stopping, lost, return_exceptions=True)
        screen.stopping()


async def _told_to_stop(processes: Processes) -> None:
    """Return at the first SIGINT, SIGTERM or SIGHUP; another kills at once."""
    stop = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            processes.kill()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, asked)
    await stop.wait()


async def _bring_up(options: UpOptions, processes: Processes, screen: Screen) -> None:
    screen.doing("starting broker and control plane")
    listener = credentials.broker_listener(options)
    broker, which = _broker(options, listener)
    server = plan.control_plane(options, listener, mqtt5=which == "mosquitto")
    for child in (server, broker):
        await processes.start(child)
    boxes = DemoBoxes(options, processes, screen) if options.demo else None
    if boxes:
        await boxes.start()
    local_fleet = await asyncio.to_thread(_local_fleet)
    await processes.ready(broker, READY_SECONDS)
    screen.done("broker", f"{which} on port {options.broker_port}, with client certificates")
    await processes.ready(server, READY_SECONDS)
    screen.done("control plane", options.url)
    fleet = await asyncio.to_thread(local_fleet, options)
    try:
        if boxes:
            await boxes.join(fleet)
        lent = await asyncio.to_thread(_lend, options, fleet, screen)
        screen.address(options, await asyncio.to_thread(fleet.sign_in_link, options.page), lent)
        tell_of_keys(options, screen)
        if boxes:
            await boxes.first_detection(fleet)
    finally:
        fleet.give_up()


def _lend(options: UpOptions, fleet: LocalFleet, screen: Screen) -> Lent | None:
    """Commands of this user find the control plane from any folder; a home that cannot be written costs only that."""
    if not options.lend_context:
        return None
    try:
        return context.lend(config_path(os.environ), fleet.context)
    except Rejected as error:
        screen.note(f"commands find this control plane in {Path.cwd()} only: {error}")
        return None


def tell_of_keys(options: UpOptions, screen: Screen) -> None:
    """Once, to the owner of a fleet that has just begun."""
    offline, told = options.state / "keys" / "offline", options.state / "keys" / ".told"
    if offline.is_dir() and not told.exists():
        screen.note(f"carry {offline} away and delete it here: whoever has it owns the fleet (README.txt beside it)")
        told.touch()


def _take_back(options: UpOptions, screen: Screen) -> None:
    try:
        context.take_back(config_path(os.environ), str(options.state.absolute()))
    except Rejected as error:
        screen.note(str(error))


def _local_fleet() -> type[LocalFleet]:
    """Imported when the children load too: an HTTP client takes as long as all the rest of `up`."""
    from controlplane.up.fleet import LocalFleet

    return LocalFleet


def _broker(options: UpOptions, listener: Listener) -> tuple[Child, str]:
    """An installed mosquitto, else the embedded broker (docs/adr/0007)."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if not program or options.embedded_broker:
        return plan.embedded_broker(listener, CONTROL_PLANE_USER), "embedded"
    folder = options.state.absolute() / "broker"
    folder.mkdir(mode=0o700, exist_ok=True)
    acl, conf = folder / "acl", folder / "mosquitto.conf"
    acl.write_text(mosquitto_acl(CONTROL_PLANE_USER))
    acl.chmod(0o600)
    conf.write_text(mosquitto_conf(listener, acl, as_root=os.geteuid() == 0))
    return plan.mosquitto(program, conf, listener), "mosquitto"
