"""Hearing from the running agent how an import went, and bringing its report to the stick."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.adapters.clock import SystemClock
from agent.adapters.files import write_atomic
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.owned import owner_of
from agent.adapters.x509 import X509Keys
from agent.carried import importing, sealed
from agent.carried.importing import Box, Brought
from agent.config import AgentConfig
from protos import carried
from protos.errors import LongshoreError, Rejected, Retryable
from protos.fleet_pb2 import DeploymentReport, DesiredState, SyncRequest

Say = Callable[[str], object]
AGENT_SECONDS = 20.0  # until a running agent has written a report
LOOK_SECONDS = 1.0


def box(config: AgentConfig) -> Box:
    """Raises Rejected: it has not joined, or this user may not read its identity."""
    home, kept = config.state_dir, config.state_dir / "identity"
    seen = kept if os.access(kept, os.F_OK) else home
    if os.access(home, os.F_OK) and not os.access(seen, os.R_OK | os.X_OK):
        raise Rejected(f"{config.state_dir} is not this user's to read; run this with sudo, or as the agent's user")
    owner = owner_of(config.state_dir)
    with owner.rights():
        identity = IdentityDirectory(config.state_dir, X509Keys()).load()
    return Box(config, identity, X509Keys(), SystemClock(), owner)


def bring(config: AgentConfig, stick: Path, seconds: float, say: Say) -> None:
    """Import `stick`, and wait until the agent runs what it brought, at most `seconds`. Raises as importing does."""
    here = box(config)
    brought = importing.proven(here, stick)
    for note in brought.notes:
        say(note)
    copied = importing.take(here, stick, brought)
    say(f"proven: generation {brought.desired.generation}, signed metadata {brought.timestamp}, {copied} bytes copied")
    if not here.agent:
        say("no agent runs here; it takes this up at its next start, and 'longshore-agent report' tells then")
        return
    file = _settled(here, brought, seconds)
    for line in _told(sealed.told(file), brought.desired):
        say(line)
    say(_brought_back(here, stick, file))


def write_report(config: AgentConfig, target: Path) -> str:
    """Where it lies. Raises Retryable: no agent runs; Rejected: `target` cannot be written."""
    if not os.access(target.absolute().parent, os.W_OK):
        raise Rejected(f"nothing can be written to {target.absolute().parent}; name a file elsewhere with -o")
    file = report(box(config))
    write_atomic(target, file)
    return f"{target}: hand it to 'longshore import-report'"


def report(here: Box) -> bytes:
    """What the running agent says now, signed. Raises Retryable."""
    if not here.agent:
        raise Retryable("no agent runs here, and only it knows; start it: systemctl start longshore-agent")
    folder, end = here.folder, time.monotonic() + AGENT_SECONDS
    with here.owner.rights():
        folder.make()
        folder.want_report()
        while folder.report_wanted:
            if time.monotonic() > end:
                raise Retryable("the agent has not answered; look at its log: journalctl -u longshore-agent")
            time.sleep(LOOK_SECONDS / 4)
        return folder.report()


def _settled(here: Box, brought: Brought, seconds: float) -> bytes:
    """The newest report. Meanwhile the agent may end, for the one that was brought to start in its place."""
    end = time.monotonic() + seconds
    while True:
        late = time.monotonic() > end
        try:
            file = report(here)
            if late or settled(sealed.told(file), brought.desired):
                return file
        except Retryable:
            if late:
                raise
        time.sleep(LOOK_SECONDS)


def settled(told: SyncRequest, desired: DesiredState) -> bool:
    """Whether nothing is under way: each release answers or was refused."""
    reports = {each.name: each for each in told.deployments}
    return told.observed_generation >= desired.generation and all(
        _done(reports.get(each.name, DeploymentReport()), each.digest) for each in desired.deployments
    )


def _done(told: DeploymentReport, digest: str) -> bool:
    return (told.active_digest == digest and told.state in ("", "IDLE")) or digest in told.refused_digests


def _told(told: SyncRequest, desired: DesiredState) -> Iterator[str]:
    reports = {each.name: each for each in told.deployments}
    for each in desired.deployments:
        found = reports.get(each.name, DeploymentReport())
        if found.active_digest == each.digest and _done(found, each.digest):
            yield f"{each.name}: {each.model}@{each.version} answers"
        else:
            yield f"{each.name}: {each.model}@{each.version} is {found.state or 'not begun'}: {found.message or 'wait'}"


def _brought_back(here: Box, stick: Path, file: bytes) -> str:
    place = stick / carried.REPORTS / f"{here.identity.member.node_id}{carried.REPORT}"
    try:
        place.parent.mkdir(exist_ok=True)
        if place.parent.is_symlink():
            raise Rejected(f"{place.parent} is a link, and a stick's links lead nowhere")
        write_atomic(place, file)
    except (OSError, LongshoreError) as error:
        return f"no report was written to the stick ({error}); 'longshore-agent report -o FILE' writes one elsewhere"
    return f"{place}: hand it to 'longshore import-report'"
