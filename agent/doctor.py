"""What keeps this box from working, and how to mend it. `diagnose` is pure; `gather` looks and changes nothing.

Here is what lies on the box itself; what is beyond it is in agent.outside.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agent import outside, stored
from agent.adapters.hold import holder
from agent.adapters.x509 import X509Keys
from agent.config import AgentConfig
from agent.findings import Finding, as_json, ordered, report
from agent.identity.decisions import expiry_problem
from agent.inference import gpu_facts, precision, runtime
from agent.inference.compiled import Platform
from agent.providers import OPENVINO
from agent.site import address
from agent.workers.process import ENVIRONMENT
from protos.errors import Rejected
from sandbox import cgroup
from sandbox.report import Confined, Layer

__all__ = ["Finding", "as_json", "diagnose", "examine", "gather", "report"]

PROBE_SECONDS = 60.0  # a cold disk on a small box takes half a minute to import everything
LEAST_DISK = 512 << 20  # bytes: an outbox and one release beside the present one
NEEDED = {"pictures": ("jpg", "png"), "video": ("h264", "mjpeg")}
MENDS = {"pictures": "opencv-python-headless", "video": "av"}


@dataclass(frozen=True)
class Facts:
    """The box as found. `capabilities` is what the probe said: providers, pictures, video, or their errors."""

    provider: str
    distributions: dict[str, str]
    capabilities: dict[str, list[str]]
    errors: dict[str, str] = field(default_factory=dict)
    openvino: str | None = None  # its version
    processor: frozenset[str] = frozenset()  # what it can, in the kernel's words
    gpu: bool = False
    platform: Platform | None = None  # what graphs are compiled for
    accelerators: dict[str, bool] = field(default_factory=dict)  # device file -> this user may use it
    state_dir: Path = Path()
    state_writable: bool = True
    free_bytes: int = 1 << 40
    sandbox: Confined | None = None  # what a worker here gives up; None: it could not be tried
    cgroups: Layer | None = None  # of the workers of the agent that runs; None: none runs
    joined: bool = True
    trust: stored.TrustState | None = None  # None: it has not joined
    now: float = 0.0  # unix seconds
    certificate: str = ""  # what is wrong with it
    no_address: str = ""  # to listen on, which this machine does not have
    taken_ports: dict[str, int] = field(default_factory=dict)  # flag -> port
    running: str = ""  # process id of the agent that runs on this state directory
    site_cache: str = ""  # where this box is to be the cache of its site
    site_cache_error: int = 0  # errno, why nobody can listen there now


def diagnose(facts: Facts) -> list[Finding]:
    """Everything worth saying, what is broken first."""
    findings = [
        *_runtime(facts),
        *_devices(facts),
        *_libraries(facts),
        *_sandbox(facts),
        _cgroup(facts),
        *_state(facts),
        *_certificate(facts),
        *_trust(facts),
        *_ports(facts),
        *_site_cache(facts),
    ]
    return ordered(findings)


def examine(config: AgentConfig, cameras: Sequence[str] = ()) -> list[Finding]:
    """Look at this box and what it deals with, and judge it. `cameras`: sources to try beside those it was told."""
    beyond = outside.gather(config.state_dir, cameras, config.site_cache)
    return ordered([*diagnose(gather(config)), *outside.diagnose(beyond)])


def gather(config: AgentConfig) -> Facts:
    """The facts of this box."""
    capabilities, errors = _probe()
    state, running = config.state_dir, holder(config.state_dir)
    there = next(folder for folder in (state, *state.absolute().parents) if os.access(folder, os.F_OK))
    return Facts(
        provider=config.provider,
        distributions=runtime.installed(),
        capabilities=capabilities,
        errors=errors,
        openvino=precision.installed(),
        processor=precision.abilities(),
        gpu=Path("/dev/nvidia0").exists() or Path("/dev/nvhost-gpu").exists(),
        platform=gpu_facts.platform(),
        accelerators=_accelerators(),
        sandbox=_entered(),
        cgroups=_cgroups(running),
        state_dir=state,
        state_writable=os.access(there, os.W_OK),
        free_bytes=shutil.disk_usage(there).free,
        joined=os.access(state / "identity" / "cert.pem", os.F_OK),
        trust=stored.trust(state) if os.access(state / "identity" / "cert.pem", os.F_OK) else None,
        now=time.time(),
        certificate=_certificate_trouble(state / "identity" / "cert.pem"),
        no_address="" if _bind_error(config.listen, 0) == 0 else config.listen,
        taken_ports=_taken(config),
        running=running,
        site_cache=config.site_cache_listen,
        site_cache_error=_site_cache_error(config),
    )


def _runtime(facts: Facts) -> list[Finding]:
    trouble = runtime.trouble(facts.distributions, facts.provider)
    if trouble:
        return [Finding("onnxruntime", trouble, broken=True)]
    name, version = next(iter(facts.distributions.items()))
    if "providers" in facts.errors:
        sentence = f"it does not load ({facts.errors['providers']}); try: {runtime.reinstall(name)}"
        return [Finding("onnxruntime", sentence, broken=True)]
    providers = facts.capabilities.get("providers", [])
    findings = [Finding("onnxruntime", f"{name} {version} with {', '.join(providers) or 'nothing'}")]
    if facts.provider in OPENVINO:
        findings.append(_openvino(facts))
    elif facts.provider not in providers:
        findings.append(
            Finding("provider", f"{facts.provider!r} is not in this ONNX Runtime; choose --provider cpu", broken=True)
        )
    elif facts.gpu and facts.provider == "cpu":
        findings.append(Finding("provider", "this box has a GPU that is not used; see extra 'agent-gpu'", note=True))
    elif facts.provider in runtime.GPU_PROVIDERS:
        findings += _gpu(facts)
    return findings


def _openvino(facts: Facts) -> Finding:
    """Beside ONNX Runtime, which says whether it answers well."""
    trouble = precision.trouble(facts.provider, facts.openvino, facts.processor)
    if trouble:
        return Finding("openvino", trouble, broken=True)
    if "openvino" in facts.errors:
        mend = f"{sys.executable} -m pip install --force-reinstall '{precision.REQUIREMENT}'"
        return Finding("openvino", f"it does not load ({facts.errors['openvino']}); try: {mend}", broken=True)
    able = facts.capabilities.get("openvino", [])
    if facts.provider not in able:
        sentence = f"it runs {', '.join(able) or 'nothing'} here; choose one of them, or --provider cpu"
        return Finding("openvino", sentence, broken=True)
    return Finding(
        "openvino", f"{facts.openvino} with {', '.join(able)}; each model is compared with ONNX Runtime's fp32"
    )


def _gpu(facts: Facts) -> list[Finding]:
    findings = []
    if not facts.gpu:
        sentence = "there is no NVIDIA device; install its driver and restart, or choose --provider cpu"
        findings.append(Finding("gpu", sentence, broken=True))
    if "gpu" in facts.errors:
        mend = f"{sys.executable} -m pip install '{runtime.GPU_LIBRARIES}'"
        findings.append(Finding("gpu", f"CUDA is not complete ({facts.errors['gpu']}); try: {mend}", broken=True))
    if facts.provider == "tensorrt":
        findings.append(_compiling(facts.platform))
    return findings


def _compiling(platform: Platform | None) -> Finding:
    if platform is None:
        return Finding("tensorrt", "the driver does not say which GPU this is: models compile at each start", note=True)
    here = [*platform.gpus, f"driver {platform.driver}", platform.tensorrt or "TensorRT as the loader finds it"]
    return Finding("tensorrt", f"models are compiled once for {', '.join(here)}")


def _devices(facts: Facts) -> list[Finding]:
    shut = [path for path, usable in facts.accelerators.items() if not usable]
    if shut:
        sentence = f"this user may not use {', '.join(shut)}; add it to the group that 'ls -l' shows there"
        return [Finding("accelerators", sentence, note=True)]
    return [Finding("accelerators", ", ".join(facts.accelerators) or "no device of a GPU or NPU is here")]


def _libraries(facts: Facts) -> list[Finding]:
    findings = []
    for name, needed in NEEDED.items():
        if name in facts.errors:
            mend = f"{sys.executable} -m pip install --force-reinstall {MENDS[name]}"
            findings.append(
                Finding(name, f"{MENDS[name]} does not load ({facts.errors[name]}); try: {mend}", broken=True)
            )
            continue
        have = facts.capabilities.get(name, [])
        missing = [one for one in needed if one not in have]
        sentence = (
            f"cannot handle {', '.join(missing)}; install {MENDS[name]} from PyPI" if missing else ", ".join(have)
        )
        findings.append(Finding(name, sentence, broken=bool(missing)))
    return findings


def _sandbox(facts: Facts) -> list[Finding]:
    """Workers go on without a layer, so none is more than worth knowing."""
    if facts.sandbox is None:
        return [Finding("sandbox", "it could not be tried; run 'python -m sandbox' and read why", note=True)]
    if not facts.sandbox.missing:
        return [Finding("sandbox", str(facts.sandbox))]
    return [
        Finding("sandbox", f"workers run without {layer.name}: {layer.sentence}", note=True)
        for layer in facts.sandbox.missing
    ]


def _cgroup(facts: Facts) -> Finding:
    """It is the agent's own that is divided, so only while one runs there is something to see."""
    if facts.cgroups is None:
        return Finding("cgroups", "told while the agent runs: workers have theirs below its own")
    if facts.cgroups.holds:
        return Finding("cgroups", facts.cgroups.detail)
    return Finding("cgroups", f"workers run without: {facts.cgroups.sentence}", note=True)


def _state(facts: Facts) -> list[Finding]:
    if not facts.state_writable:
        sentence = f"{facts.state_dir} cannot be written; run as its owner or choose --state-dir"
        return [Finding("state", sentence, broken=True)]
    findings = []
    if facts.free_bytes < LEAST_DISK:
        short = f"{facts.free_bytes >> 20} MiB are free at {facts.state_dir}; free at least {LEAST_DISK >> 20} MiB"
        findings.append(Finding("disk", short, broken=True))
    else:
        findings.append(Finding("disk", f"{facts.free_bytes / 2**30:.1f} GiB are free at {facts.state_dir}"))
    joined = "joined a fleet" if facts.joined else "not in a fleet yet; use: longshore-agent join URL --token TOKEN"
    return [*findings, Finding("fleet", joined, note=not facts.joined)]


def _certificate(facts: Facts) -> list[Finding]:
    return [Finding("certificate", facts.certificate, broken=True)] if facts.certificate else []


def _trust(facts: Facts) -> list[Finding]:
    """What runs goes on whatever this says, so that nothing is broken by it."""
    if facts.trust is None:
        return []
    known = facts.trust.floors
    if not known.timestamp:
        first = "nothing is proven yet" if facts.trust.rooted else "this box trusts no root yet; it takes one"
        return [Finding("signed metadata", f"{first} at its next Sync, and installs nothing before", note=True)]
    told = f"version {known.timestamp} under root {known.root}, signed {_ago(facts.now - known.signed)}"
    told += "".join(f", {model} from number {floor} on" for model, floor in sorted(known.releases.items()) if floor)
    expired = facts.now >= facts.trust.expires
    late = "; it has expired, and nothing is installed until the control plane signs anew" if expired else ""
    return [Finding("signed metadata", told + late, note=expired)]


def _ago(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h ago" if seconds >= 0 else "in the future, by this box's clock"


def _ports(facts: Facts) -> list[Finding]:
    if facts.no_address:
        sentence = f"this machine has no address {facts.no_address}; choose one it has with --listen"
        return [Finding("address", sentence, broken=True)]
    if facts.running:
        return [Finding("agent", f"process {facts.running} runs with this state directory, and has its ports")]
    return [
        Finding("port", f"{port} is taken; choose another with --{flag}", note=True)
        for flag, port in facts.taken_ports.items()
    ]


def _site_cache(facts: Facts) -> list[Finding]:
    if not facts.site_cache:
        return []
    if facts.site_cache_error and not (facts.running and facts.site_cache_error == errno.EADDRINUSE):
        why = os.strerror(facts.site_cache_error)
        sentence = f"this box cannot listen at {facts.site_cache} ({why}); choose another with --site-cache-listen"
        return [Finding("site cache", sentence, broken=True)]
    return [Finding("site cache", f"this box hands out release files at {facts.site_cache}")]


def _accelerators() -> dict[str, bool]:
    """Device files of GPUs and NPUs: NVIDIA, Jetson, Intel and AMD (render nodes), Hailo, Coral, accel."""
    patterns = ("nvidia[0-9]*", "nvhost-gpu", "dri/renderD*", "accel/accel*", "hailo[0-9]*", "apex_*")
    found = sorted(path for pattern in patterns for path in Path("/dev").glob(pattern))
    return {str(path): os.access(path, os.R_OK | os.W_OK) for path in found}


def _probe() -> tuple[dict[str, list[str]], dict[str, str]]:
    """Ask another process, for a broken library may take its process along."""
    command = [sys.executable, "-m", "agent.inference.probe"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False, env=ENVIRONMENT | os.environ
        )
    except subprocess.TimeoutExpired:
        return {}, {"providers": f"no answer within {PROBE_SECONDS:.0f} s"}
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"its process ended with code {done.returncode}"]
        return {}, {"providers": last[0]}
    said = json.loads(done.stdout)
    errors = {name.removesuffix("_error"): value for name, value in said.items() if name.endswith("_error")}
    return {name: value for name, value in said.items() if not name.endswith("_error")}, errors


def _entered() -> Confined | None:
    """As a process of its own, which gives its rights up."""
    command = [sys.executable, "-m", "sandbox"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, check=True)
        return msgspec.json.decode(done.stdout, type=Confined)
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError):
        return None


def _cgroups(running: str) -> Layer | None:
    """`running`: process id of the agent."""
    if not running.isdecimal():
        return None
    try:
        return Layer("cgroup", holds=True, detail=cgroup.of_workers(int(running)))
    except OSError as error:
        return Layer("cgroup", holds=False, detail=error.strerror or str(error))


def _certificate_trouble(path: Path) -> str:
    try:
        problem = expiry_problem(X509Keys().facts(path.read_bytes()), time.time())
    except Rejected:
        return f"{path} is not readable; join this box again"
    except OSError:
        return ""  # none yet, or one that only its owner may read
    return problem.message if problem else ""


def _taken(config: AgentConfig) -> dict[str, int]:
    wanted = {"http-port": config.http_port, "grpc-port": config.grpc_port, "metrics-port": config.metrics_port}
    return {
        flag: port for flag, port in wanted.items() if port and _bind_error(config.listen, port) == errno.EADDRINUSE
    }


def _site_cache_error(config: AgentConfig) -> int:
    if not config.site_cache_listen:
        return 0
    place = address.listens(config.site_cache_listen, "--site-cache-listen")
    return _bind_error(place.host, place.port)


def _bind_error(host: str, port: int) -> int:
    """Why nobody can listen there, as errno; 0 when it works."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno or errno.EADDRNOTAVAIL
    return 0
