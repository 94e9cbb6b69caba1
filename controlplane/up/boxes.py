"""The demo's boxes: started, joined over the public API, given something to run, and watched for the first detection.

A box that has to join is started at once: it loads while the control plane does, and then asks for its token. Of boxes
that are members already only the first is: on two cores their workers would keep the control plane from starting.
A member whose node somebody deleted is told with the way back, and is not joined again by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from controlplane.up import credentials, demo, plan
from controlplane.up.options import UpOptions
from controlplane.up.plan import LocalAgent
from controlplane.up.ports import claim
from controlplane.up.processes import Processes
from controlplane.up.terminal import Screen
from protos.errors import LongshoreError

if TYPE_CHECKING:
    from controlplane.up.fleet import LocalFleet

JOIN_SECONDS = 15.0
PROBE_SECONDS = 10.0  # usually half of one; a cold disk takes two
SYSTEM_PYTHON = Path("/usr/bin/python3")  # Debian's GStreamer bindings are for this one
_RTSP_PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


class DemoBoxes:
    """Two boxes, a cloud node and their cameras."""

    def __init__(self, options: UpOptions, processes: Processes, screen: Screen) -> None:
        self._options = options
        self._processes = processes
        self._screen = screen
        self._fleet: asyncio.Future[LocalFleet] = asyncio.get_running_loop().create_future()
        self._waiting: list[LocalAgent] = []
        self._rtsp = False
        self._started = datetime.now(UTC)

    async def start(self) -> None:
        """Those that gain by it, before there is a control plane."""
        for agent in demo.AGENTS:
            credentials.forget_if_moved(agent, self._options)
        members = [agent for agent in demo.AGENTS if credentials.is_member(agent, self._options)]
        self._waiting = members[1:]
        for agent in demo.AGENTS:
            if agent not in self._waiting:
                await self._start(agent)
        self._rtsp = await ends_well(str(SYSTEM_PYTHON), "-c", _RTSP_PROBE)
        if self._rtsp:
            await asyncio.to_thread(claim, [self._options.rtsp])
            await self._processes.start(plan.rtsp_server(str(SYSTEM_PYTHON), self._options, demo.CLIP))

    async def join(self, fleet: LocalFleet) -> None:
        """Everything that needs the control plane; returns when all boxes run as members and know what to do."""
        self._fleet.set_result(fleet)
        for agent in self._waiting:
            await self._start(agent)
        await self._seed(fleet)
        await self._joined()
        await self._tell_members(fleet)

    async def first_detection(self, fleet: LocalFleet) -> None:
        """Tell when the first detection of this run is in the database."""
        self._screen.doing("waiting for the first detection")
        while True:
            # The control plane may be restarting; nothing rests on this line.
            with contextlib.suppress(LongshoreError):
                if seen := await asyncio.to_thread(fleet.detection_since, self._started):
                    self._screen.quiet()
                    self._screen.done("first detection", seen)
                    return
            await asyncio.sleep(0.2)

    async def _start(self, agent: LocalAgent) -> None:
        child = plan.agent_process(agent, self._options)
        await self._processes.start(child, functools.partial(self._join_token, agent))

    async def _join_token(self, agent: LocalAgent) -> str:
        """For a box that asks: empty when it is a member already."""
        fleet = await asyncio.shield(self._fleet)
        if credentials.is_member(agent, self._options):
            return ""
        try:
            return await asyncio.to_thread(fleet.join_token, agent)
        except LongshoreError as error:
            self._screen.note(f"no join token for {agent.node}: {error}")
            return ""

    async def _seed(self, fleet: LocalFleet) -> None:
        """Release, cameras and Deployment, once; afterwards the fleet is the user's."""
        self._screen.doing("pushing the release")
        rtsp_url = f"rtsp://127.0.0.1:{self._options.rtsp_port}/harbour" if self._rtsp else None
        cameras = demo.cameras(demo.CLIP, rtsp_url)
        seeded = self._options.state / "demo-seeded"
        if seeded.exists():
            for camera in cameras:
                await asyncio.to_thread(fleet.put_right, camera)
            return
        model, version = await asyncio.to_thread(fleet.push, demo.RELEASE)
        for document in (*cameras, demo.deployment(model, version)):
            await asyncio.to_thread(fleet.apply, document)
        seeded.touch()
        self._screen.done("release", f"{model} {version}, deployed to site=harbour")

    async def _joined(self) -> None:
        """Wait until every box is a member; one that cannot join is told by its log, not waited for."""
        self._screen.doing("joining the boxes")
        until = time.monotonic() + JOIN_SECONDS
        while not all(credentials.is_member(agent, self._options) for agent in demo.AGENTS):
            if time.monotonic() > until:
                self._screen.note(f"a box has not joined yet; see the logs in {self._options.logs}")
                return
            await asyncio.sleep(0.05)

    async def _tell_members(self, fleet: LocalFleet) -> None:
        members = [agent for agent in demo.AGENTS if credentials.is_member(agent, self._options)]
        known = [agent for agent in members if await asyncio.to_thread(fleet.knows, agent)]
        if known:
            self._screen.done("boxes", ", ".join(agent.node for agent in known))
        for agent in members:
            if agent not in known:
                self._screen.note(credentials.deleted(agent, self._options))


async def ends_well(*command: str) -> bool:
    """Whether `command` ends with exit code 0 within PROBE_SECONDS."""
    quiet = asyncio.subprocess.DEVNULL
    try:
        probe = await asyncio.create_subprocess_exec(*command, stdin=quiet, stdout=quiet, stderr=quiet)
    except OSError:
        return False  # there is no such program
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await probe.wait() == 0
    except TimeoutError:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            probe.kill()
