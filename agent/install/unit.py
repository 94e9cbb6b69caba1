"""The systemd unit of an agent, as text. Pure: what it needs to know comes in.

What an agent does beside the obvious, and the unit therefore allows: worker processes that share memory files with it
and lock themselves into sandboxes, cgroups of theirs below the service's own, Unix sockets between them, cameras and
accelerators below /dev, netlink (gRPC asks which addresses there are). Memory that is both written and executed is
refused where no runtime compiles while it runs: with the provider `cpu`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.providers import GPU, OPENVINO
from protos.errors import Rejected

NAME = "longshore-agent"
UNIT = f"{NAME}.service"
USER = "longshore-agent"
STATE = Path("/var/lib/longshore-agent")
ENVIRONMENT = Path("/etc/longshore-agent.env")  # LONGSHORE_AGENT_…; yours, never written by us
GROUPS = ("video", "render")  # who may open cameras and GPUs
HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108 - named, not used
# As /proc/devices calls them; one that this kernel does not know is passed over.
_NVIDIA = ("nvidia", "nvidia-frontend", "nvidia-uvm", "nvidia-caps", "nvhost")
DEVICES = ("video4linux", "media", "drm", "accel", *_NVIDIA, "hailo", "apex")
_COMPILING = (*GPU, *OPENVINO)

TEMPLATE = """\
# Written by 'longshore-agent join --install', and written anew when that runs again: put changes of yours into
# {environment} (LONGSHORE_AGENT_…) or a drop-in ('systemctl edit {name}').
[Unit]
Description=Longshore agent: models on local cameras
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
EnvironmentFile=-{environment}
User={user}
Group={user}
{groups}UMask=0077
Restart=always
RestartSec=2
TimeoutStartSec=180
TimeoutStopSec=30
WatchdogSec=60
KillMode=mixed
OOMPolicy=continue
TasksMax=1024
Delegate=memory pids
LimitNOFILE=65536
LimitCORE=0

{state}
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateMounts=yes
DevicePolicy=closed
{devices}
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
{memory}KeyringMode=private
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallFilter=seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Service:
    """What the unit runs. `code`: where the agent's own modules lie. `groups`: those of GROUPS that this box has."""

    python: Path
    code: Path
    verb: str = "run"
    state_dir: Path = STATE
    provider: str = "cpu"
    groups: Sequence[str] = ()


def text(service: Service) -> str:
    """Raises Rejected when the service's user could not read the agent's code."""
    check_readable(service)
    launcher = f"{service.python} -P -m agent.launcher {service.state_dir}"
    command = f"{launcher} {service.verb} --state-dir {service.state_dir}"
    return TEMPLATE.format(
        name=NAME,
        user=USER,
        environment=ENVIRONMENT,
        command=command + (f" --provider {service.provider}" if service.provider != "cpu" else ""),
        groups=f"SupplementaryGroups={' '.join(service.groups)}\n" if service.groups else "",
        state=_state(service.state_dir),
        devices="\n".join(f"DeviceAllow=char-{name} rw" for name in DEVICES),
        memory="" if service.provider in _COMPILING else "MemoryDenyWriteExecute=yes\n",
    )


def check_readable(service: Service) -> None:
    """The unit hides homes and temporary folders. Raises Rejected."""
    # A virtual environment's python is a link, to the interpreter that it was made with.
    for path in (service.python, service.python.resolve(), service.code, service.state_dir):
        if any(path.is_relative_to(hidden) for hidden in HIDDEN):
            raise Rejected(
                f"{path} lies where a service cannot read it; make the agent's environment below /opt with the system's"
                " Python ('/usr/bin/python3 -m venv /opt/longshore'), and run 'join --install' from there"
            )
        if any(letter.isspace() or letter in "%$\"'\\" for letter in str(path)):
            raise Rejected(f"{path} has a character that a unit cannot hold; use a path of letters, digits, - and _")


def _state(state_dir: Path) -> str:
    if state_dir == STATE:
        return f"StateDirectory={STATE.name}\nStateDirectoryMode=0700"
    return f"ReadWritePaths={state_dir}"
