"""What `longshore doctor` says of what it found. Pure: facts in, findings out, worst first.

Broken: commands or the fleet cannot work until it is mended; the exit code says so. Note: worth knowing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protos import versions
from protos.problems import pressing

CLOCK_SECONDS = 60.0  # beyond it certificates and times of telemetry begin to suffer
LEAST_DISK = 2 << 30  # bytes: a database, a few releases and their next versions


@dataclass(frozen=True)
class Finding:
    subject: str
    level: str  # ok, note, broken
    sentence: str


@dataclass(frozen=True)
class Server:
    """A control plane as it answered. `offset`: seconds to add to our clock to get its; None: not told."""

    url: str
    trust: str  # how it is recognised
    error: str = ""  # why nothing more is known
    token_error: str = ""
    version: str = ""
    seconds: float = 0.0
    offset: float | None = None
    hears_boxes: bool | None = None  # the broker lets it; None: not told
    nodes: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Here:
    """This machine, for `longshore up`."""

    state: str
    free_bytes: int
    mosquitto: str = ""  # its path
    held: str = ""  # by which `up`
    taken: Mapping[str, str] = field(default_factory=dict)  # "8443 (HTTPS)" -> who has it, and the flag


def diagnose(ours: str, server: Server | None, no_server: str, here: Here) -> list[Finding]:
    """`ours`: this command's version. `no_server`: why there is none to ask."""
    found = [*(_server(ours, server) if server else [Finding("context", "note", no_server)]), *_here(here)]
    return sorted(found, key=lambda finding: ("broken", "note", "ok").index(finding.level))


def _server(ours: str, server: Server) -> list[Finding]:
    found = [Finding("context", "ok", f"{server.url}, {server.trust}")]
    if server.error:
        return [*found, Finding("control plane", "broken", server.error)]
    found.append(Finding("control plane", "ok", f"answers in {server.seconds * 1000:.0f} ms"))
    found += _clock(server)
    if server.token_error:
        return [*found, Finding("token", "broken", f"{server.token_error}; then 'longshore login {server.url}'")]
    found.append(Finding("token", "ok", "is accepted"))
    found += _versions(ours, server)
    return [*found, *_broker(server), *_boxes(server)]


def _clock(server: Server) -> list[Finding]:
    if server.offset is None:
        return []
    if abs(server.offset) <= CLOCK_SECONDS:
        return [Finding("clock", "ok", f"within {abs(server.offset):.0f} s of the control plane's")]
    word = "behind" if server.offset > 0 else "ahead of"
    mend = f"this machine's is {abs(server.offset):.0f} s {word} the control plane's; set the wrong one, or run NTP"
    return [Finding("clock", "note", mend)]


def _versions(ours: str, server: Server) -> list[Finding]:
    wrong = versions.skew(ours, server.version)
    found = [Finding("version", "note" if wrong else "ok", wrong or f"command {ours}, control plane {server.version}")]
    for node in server.nodes:
        told = str(node["status"].get("inventory", {}).get("agentVersion") or "")
        if trouble := versions.skew(server.version, told):
            found.append(Finding(f"box {node['metadata']['name']}", "note", f"its agent: {trouble}"))
    return found


def _broker(server: Server) -> list[Finding]:
    if server.hears_boxes is None:
        return []
    if server.hears_boxes:
        return [Finding("broker", "ok", "the control plane hears the boxes")]
    mend = (
        "the control plane does not hear the boxes: no broker is configured, or it is down; see --broker-url and the"
        " control plane's log; boxes keep their telemetry until then"
    )
    return [Finding("broker", "note", mend)]


def _boxes(server: Server) -> list[Finding]:
    found = []
    for node in server.nodes:
        name, status = node["metadata"]["name"], node["status"]
        if status.get("phase") == "Offline":
            since = f"since {status.get('lastSeen') or 'it joined'}"
            mend = f"offline {since}; on the box: longshore-agent doctor; its journal: journalctl -u longshore-agent"
            found.append(Finding(f"box {name}", "note", mend))
        problems = pressing(status.get("problems") or ())
        found += [Finding(f"box {name}", "note", str(each.get("message"))) for each in problems]
    online = sum(node["status"].get("phase") == "Online" for node in server.nodes)
    return [*found, Finding("boxes", "ok", f"{online} of {len(server.nodes)} are online")]


def _here(here: Here) -> list[Finding]:
    found = [_disk(here), _mosquitto(here)]
    if here.held:
        return [*found, Finding("up", "ok", here.held)]
    for port, who in here.taken.items():
        found.append(Finding("port", "note", f"{port} is in use{who}"))
    return [*found, Finding("up", "ok", "its ports are free")] if not here.taken else found


def _disk(here: Here) -> Finding:
    free = f"{here.free_bytes / 2**30:.1f} GiB are free at {here.state}"
    if here.free_bytes < LEAST_DISK:
        return Finding("disk", "note", f"{free}; a control plane wants {LEAST_DISK >> 30} GiB at least")
    return Finding("disk", "ok", free)


def _mosquitto(here: Here) -> Finding:
    if here.mosquitto:
        return Finding("mosquitto", "ok", here.mosquitto)
    mend = "not installed, so 'longshore up' uses its built-in broker; for many boxes: apt-get install mosquitto"
    return Finding("mosquitto", "note", mend)
