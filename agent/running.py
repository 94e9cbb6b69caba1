"""One agent as a process: what lies on disk is opened, a node runs until it is told to end, and all is closed again."""

from __future__ import annotations

import asyncio
import logging
import signal

import uvloop

from agent import logs
from agent.adapters.berths_disk import DiskBerths
from agent.adapters.hold import hold
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.adapters.release_store import DiskReleaseStore
from agent.adapters.state_sqlite import SqliteState
from agent.adapters.x509 import X509Keys
from agent.berths import progress
from agent.berths.machine import Place
from agent.config import AgentConfig
from agent.identity.decisions import role_problem
from agent.inference import precision, runtime
from agent.link.loop import kept
from agent.node import Disk, Node
from agent.supervise import first_of
from agent.telemetry.caps import caps
from agent.version import VERSION
from agent.workers.settled import settle
from protos.errors import Fatal, Rejected

log = logging.getLogger(__name__)
new_loop = uvloop.new_event_loop  # what agents run on; a measurement of one must take the same


def _outbox(config: AgentConfig, state: SqliteState) -> SqliteOutbox:
    """Bounded as it was before: a start must not drop what a wider quota let in."""
    told = kept(state)
    most = config.outbox_bound(told.quotas.outbox_bytes if told else 0)
    return SqliteOutbox(config.state_dir / "outbox.db", most, caps(config.outbox_caps, "outbox caps"))


async def _run(config: AgentConfig) -> None:
    keys = X509Keys()
    identity_directory = IdentityDirectory(config.state_dir, keys)
    identity = identity_directory.load()
    if trouble := role_problem(identity.member.role, config.role):
        raise Rejected(trouble)
    logs.configure(config.log_level, identity.member.node_id)
    berths = DiskBerths(config.state_dir, config.berth)
    on_trial = progress.place(berths.choice(), berths.running) is Place.TRIAL
    state = SqliteState(config.state_dir / "state.db", on_trial=on_trial)
    disk = Disk(
        state,
        _outbox(config, state),
        DiskReleaseStore(config.state_dir),
        identity_directory,
        berths,
    )
    node = Node(config, disk, identity)
    try:
        await node.start()
        settle()
        log.info("agent %s runs as %s", VERSION, identity.member.node_id)
        broken = await _until_told(node)
    finally:
        await node.close()
        state.close()
    if broken:
        raise Fatal(f"the agent's part {broken!r} ended by itself, which is a mistake of ours; the log says why")


async def _until_told(node: Node) -> str:
    """At SIGTERM, SIGINT or when another agent is to start in this place; or when a part ended by itself: its name."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    failure, ends = asyncio.ensure_future(node.failure()), (told.wait(), node.outdated.wait())
    await first_of(asyncio.wait({failure}), *ends)
    if not failure.done():
        failure.cancel()
        return ""
    broken = failure.result()
    log.critical("%s ended; the agent ends too and is to be started again", broken)
    return broken


def run_node(config: AgentConfig) -> None:
    """Run until told to end.

    Raises:
        Fatal: the state directory or a port is taken, the runtime is unusable, or a part that must not end has ended.
        Rejected: this box has not joined, or in the other role.
    """
    trouble = runtime.trouble(runtime.installed(), config.provider)  # installed here, they may exclude each other
    trouble = trouble or precision.trouble(config.provider, precision.installed(), precision.abilities())
    if trouble:
        raise Fatal(trouble)
    with hold(config.state_dir), asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_run(config))
