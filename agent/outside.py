"""What lies beyond the box, as `doctor` finds it: the control plane and its clock, the broker, the cameras.

`diagnose` is pure; `gather` dials and changes nothing. A box that has its desired state goes on without any of these;
broken is what must be mended here: another CA than the one it joined, a camera that gives no picture.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from agent import stored
from agent.adapters.blob_https import pinned
from agent.adapters.hold import holder
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.x509 import X509Keys
from agent.cameras import spec
from agent.findings import Finding
from agent.identity.decisions import clock_problem
from agent.identity.store import Identity
from protos.errors import Rejected
from protos.fleet_pb2 import BrokerEndpoint, DesiredState
from protos.secrets import masked

DIAL_SECONDS = 5.0
FRAME_SECONDS = 30.0  # for all cameras together, side by side; a cold start included


@dataclass(frozen=True)
class Camera:
    """What came of asking for one picture. `error`: a sentence without the source."""

    name: str
    source: str  # masked
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    error: str = ""
    skipped: str = ""  # why it was not asked


@dataclass(frozen=True)
class Outside:
    """`clock_offset`: seconds to add to this box's clock to get the control plane's; None: not told."""

    url: str = ""  # empty: not joined
    url_error: str = ""
    untrusted: bool = False  # it answers, and not as the one this box joined
    fleet_address: str = ""
    fleet_error: str = ""
    clock_offset: float | None = None
    broker: str = ""
    broker_error: str = ""
    has_desired: bool = False
    cameras: tuple[Camera, ...] = field(default=())
    site_cache: str = ""  # URL of the one this box asks
    site_cache_error: str = ""


def diagnose(outside: Outside) -> list[Finding]:
    beyond = [*_control_plane(outside), *_clock(outside), *_broker(outside), *_site_cache(outside)]
    return [*beyond, *map(_camera, outside.cameras)]


def gather(state_dir: Path, sources: Sequence[str] = (), site_cache: str = "") -> Outside:
    """`sources`: cameras to try beside those of desired state. `site_cache`: URL of the one this box asks."""
    found = _gather(state_dir, sources)
    error = _dial(*_host_port(urlsplit(site_cache).netloc)) if site_cache else ""
    return replace(found, site_cache=site_cache, site_cache_error=error)


def _gather(state_dir: Path, sources: Sequence[str]) -> Outside:
    state = stored.desired_state(state_dir)
    cameras = tuple(_first_frames(_asked(state, sources, holder(state_dir))))
    try:
        identity = IdentityDirectory(state_dir, X509Keys()).load()
    except (Rejected, OSError):
        return Outside(has_desired=bool(state.generation), cameras=cameras)
    url_error, untrusted, offset = _ask(identity)
    return Outside(
        url=identity.member.url,
        url_error=url_error,
        untrusted=untrusted,
        fleet_address=identity.member.fleet_address,
        fleet_error=_dial(*_host_port(identity.member.fleet_address)),
        clock_offset=offset,
        broker=f"{state.broker.host}:{state.broker.port}" if state.broker.host else "",
        broker_error=_greet(state.broker, state_dir / "identity") if state.broker.host else "",
        has_desired=bool(state.generation),
        cameras=cameras,
    )


# ---- judging ----


def _control_plane(outside: Outside) -> list[Finding]:
    if not outside.url:
        return []
    found = []
    if outside.url_error:
        mend = f"{outside.url}: {outside.url_error}; {_WHAT_GOES_ON[outside.has_desired]}"
        broken = outside.untrusted or not outside.has_desired
        found.append(Finding("control plane", mend, broken=broken, note=not broken))
    else:
        found.append(Finding("control plane", f"{outside.url} answers, with the CA this box joined"))
    if outside.fleet_error:
        mend = f"{outside.fleet_address} (gRPC): {outside.fleet_error}; let this box through to that port"
        found.append(Finding("control plane", mend, broken=not outside.has_desired, note=outside.has_desired))
    return found


_WHAT_GOES_ON = {
    True: "check name, network and firewall; this box goes on with what it was told last",
    False: "check name, network and firewall; this box has not been told yet what to run",
}


def _clock(outside: Outside) -> list[Finding]:
    if outside.clock_offset is None:
        return []
    problem = clock_problem(outside.clock_offset)
    if problem is not None:
        return [Finding("clock", problem.message, note=True)]
    return [Finding("clock", f"within {abs(outside.clock_offset):.0f} s of the control plane's")]


def _broker(outside: Outside) -> list[Finding]:
    if not outside.broker:
        return [Finding("broker", "none is told; telemetry waits on the box", note=True)] if outside.has_desired else []
    if outside.broker_error:
        mend = (
            f"{outside.broker}: {outside.broker_error}; let this box through; telemetry waits in the outbox meanwhile"
        )
        return [Finding("broker", mend, note=True)]
    return [Finding("broker", f"{outside.broker} answers")]


def _site_cache(outside: Outside) -> list[Finding]:
    if not outside.site_cache:
        return []
    if outside.site_cache_error:
        mend = f"{outside.site_cache}: {outside.site_cache_error}; files come from the control plane meanwhile"
        return [Finding("site cache", mend, note=True)]
    return [Finding("site cache", f"{outside.site_cache} answers")]


def _camera(camera: Camera) -> Finding:
    subject = f"camera {camera.name}"
    if camera.skipped:
        return Finding(subject, camera.skipped)
    if camera.error:
        return Finding(subject, f"{camera.source}: {camera.error}", broken=True)
    return Finding(subject, f"{camera.source}: {camera.width}×{camera.height}, first picture in {camera.seconds:.1f} s")


# ---- looking ----


def _ask(identity: Identity) -> tuple[str, bool, float | None]:
    """Trouble with the control plane's HTTPS, whether it shows another CA, and its clock."""
    parts = urlsplit(identity.member.url)
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port or 443, timeout=DIAL_SECONDS, context=pinned(identity.ca)
    )
    try:
        connection.request("GET", "/api/v1/ca")
        answer = connection.getresponse()
    except ssl.SSLCertVerificationError as error:
        return f"it shows a certificate this box does not trust ({error.verify_message})", True, None
    except (OSError, http.client.HTTPException) as error:
        return _why(error), False, None
    finally:
        connection.close()
    told = email.utils.parsedate_to_datetime(answer.headers["Date"]) if answer.headers["Date"] else None
    return "", False, told.timestamp() - time.time() if told else None


def _greet(broker: BrokerEndpoint, identity: Path) -> str:
    """Why nobody could speak with the broker; empty when it took our certificate's handshake."""
    try:
        with socket.create_connection((broker.host, broker.port), DIAL_SECONDS) as plain:
            if broker.tls:
                trust = ssl.create_default_context(cafile=str(identity / "ca.pem"))
                trust.load_cert_chain(identity / "cert.pem", identity / "key.pem")
                trust.wrap_socket(plain, server_hostname=broker.host).close()
    except OSError as error:  # ssl.SSLError is one
        return _why(error)
    return ""


def _dial(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), DIAL_SECONDS).close()
    except OSError as error:
        return _why(error)
    return ""


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {DIAL_SECONDS:.0f} s"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _host_port(address: str) -> tuple[str, int]:
    parts = urlsplit(f"//{address}")
    return parts.hostname or "", parts.port or 443


def _asked(state: DesiredState, sources: Sequence[str], running: str) -> list[tuple[Camera, str]]:
    """Each camera with its source. A device that the running agent has open is left to it."""
    found = [(Camera(f"{number}", masked(source)), source) for number, source in enumerate(sources, 1)]
    for name, source in [(camera.name, camera.source) for camera in state.cameras]:
        busy = bool(running) and spec.hangs_in_its_driver(source)
        skipped = (
            f"{source}: the running agent (process {running}) has it; 'longshore get cameras' tells" if busy else ""
        )
        found.append((Camera(name, masked(source), skipped=skipped), source))
    return found


def _first_frames(asked: Sequence[tuple[Camera, str]]) -> list[Camera]:
    """Another process opens them: pixels stay out of this one, and a broken decoder may take its process along."""
    wanted = {camera.name: source for camera, source in asked if not camera.skipped}
    told = _probe(wanted) if wanted else {}
    return [_tried(camera, told.get(camera.name, {})) if not camera.skipped else camera for camera, _ in asked]


def _tried(camera: Camera, told: dict[str, object]) -> Camera:
    answer = told or {"error": f"no picture within {FRAME_SECONDS:.0f} s"}
    return Camera(camera.name, camera.source, **answer)  # type: ignore[arg-type]


def _probe(wanted: dict[str, str]) -> dict[str, dict[str, object]]:
    command = [sys.executable, "-m", "agent.cameras.first_frame"]
    try:
        done = subprocess.run(
            command, input=json.dumps(wanted), capture_output=True, text=True, timeout=FRAME_SECONDS, check=False
        )
        told: dict[str, dict[str, object]] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return {}
    return told
