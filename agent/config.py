"""What an agent is told at its start. Frozen; the environment is read here and nowhere else.

Everything else an agent does is desired state. Each field's key is `LONGSHORE_AGENT_<FIELD>`; a command-line flag of
the same name wins over it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from agent import providers
from agent.door.shares import WORDS, Shares, shares
from agent.site import address
from agent.telemetry.caps import caps
from agent.telemetry.settings import Form, Limits, SenderSettings
from protos.errors import Rejected

PREFIX = "LONGSHORE_AGENT_"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
MAX_PORT = 65_535
LOOPBACK = ("127.0.0.1", "::1", "localhost")
OUTBOX_BYTES = 256 << 20  # until somebody says otherwise: a day of three cameras
_AMOUNTS = (
    *("threads", "confirm_seconds", "trial_seconds", "outbox_bytes"),
    *("site_cache_bytes", "site_cache_bits_per_second"),
    *("backfill_records_per_second", "backfill_bytes_per_second"),
    *("decision_log", "decision_log_bytes"),
)
WILDCARDS = ("", "0.0.0.0", "[::]")  # noqa: S104 - recognised, not bound; as `dialled` spells them


@dataclass(frozen=True)
class AgentConfig:
    state_dir: Path = Path("/var/lib/longshore-agent")
    role: str = "edge"  # "cloud" in serve mode: no cameras
    listen: str = "127.0.0.1"  # beyond loopback, callers need a client certificate (gRPC) or the bearer token (REST)
    http_port: int = 8000  # Open Inference Protocol, REST; 0 takes a free port
    grpc_port: int = 8001  # Open Inference Protocol, gRPC
    metrics_port: int = 8002  # as guarded as the other two
    advertise: str = ""  # host under which others reach this one; default: `listen`
    partitions: str = WORDS  # percent of each engine's time for requests of each kind: see agent.door.shares
    bearer_file: Path | None = None  # token that REST callers beyond loopback must show
    provider: str = "cpu"  # see agent.providers
    threads: int = 0  # per engine; 0: one per core
    slots: int = 6  # frames per tap in shared memory: one being written, one waiting, one running, three in the cloud
    confirm_seconds: float = 10.0  # a new release must behave this long before it is kept
    trial_seconds: float = 60.0  # a new agent must be reached and answer this long before it is kept
    outbox_bytes: int = 0  # of disk, for telemetry that waits, at most; 0: as much as the fleet's settings say
    outbox_caps: str = ""  # of it by class: see agent.telemetry.caps
    telemetry_form: str = "protobuf"  # see agent.telemetry.payload; "json" for readers of the broker's topics
    backfill_records_per_second: float = Limits.records_per_second  # of what waited from a dark time; 0: no limit
    backfill_bytes_per_second: float = Limits.bytes_per_second  # of the same, on the line; 0: no limit
    events_broker: str = ""  # mqtt://127.0.0.1:1883: events go there, for applications beside the box, and not up
    site_cache_listen: str = ""  # ADDRESS:PORT on the local network: this box hands out release files there
    site_cache_bytes: int = 4 << 30  # of disk, for files that it keeps for others, at most
    site_cache_bits_per_second: float = 0.0  # of what it fetches for others; 0: no bound
    site_cache: str = ""  # http://ADDRESS:PORT of the box on this site that is asked before the control plane
    decision_log: float = 0.01  # share of decisions, of where a frame goes, that a log on disk keeps; 0: none
    decision_log_bytes: int = 16 << 20  # of disk for it, at most: some 20 000 decisions
    log_level: str = "INFO"
    berth: str = ""  # where this agent runs (agent.berths); told by the launcher, "" where none started it

    def outbox_bound(self, quota: int) -> int:
        """Bytes of disk for telemetry; `quota` is what the fleet's settings say, 0 where nobody has said it."""
        told = [size for size in (self.outbox_bytes, quota) if size]
        return min(told, default=OUTBOX_BYTES)

    @property
    def sending(self) -> SenderSettings:
        backfill = Limits(self.backfill_records_per_second, self.backfill_bytes_per_second)
        return SenderSettings(Form(self.telemetry_form), backfill)

    @property
    def shares(self) -> Shares:
        """Raises Rejected."""
        return shares(self.partitions, f"{PREFIX}PARTITIONS")

    @property
    def on_loopback(self) -> bool:
        return self.listen in LOOPBACK

    @property
    def dialled(self) -> str:
        """The host that others are told, as URLs want it."""
        host = self.advertise or self.listen
        return f"[{host}]" if ":" in host else host


def from_environment(environment: Mapping[str, str] = os.environ, **overrides: Any) -> AgentConfig:
    """Defaults, then the environment, then `overrides` that are not None.

    Raises:
        Rejected: a value that is no number where one is needed, or one that cannot be, naming its key; an unknown log
            level or provider.
    """
    values: dict[str, Any] = {}
    for known in fields(AgentConfig):
        key = PREFIX + known.name.upper()
        if key in environment:
            values[known.name] = _parsed(key, environment[key], getattr(AgentConfig(), known.name), known.name)
    values.update({name: value for name, value in overrides.items() if value is not None})
    config = replace(AgentConfig(), **values)
    _check_numbers(config)
    _check_site(config)
    shares(config.partitions, f"{PREFIX}PARTITIONS")
    caps(config.outbox_caps, f"{PREFIX}OUTBOX_CAPS")
    if config.log_level.upper() not in LOG_LEVELS:
        raise Rejected(f"the log level must be one of {', '.join(LOG_LEVELS)}, not {config.log_level!r}")
    if config.provider not in providers.ALL:
        raise Rejected(f"the provider must be one of {', '.join(providers.ALL)}, not {config.provider!r}")
    if config.telemetry_form not in tuple(Form):
        raise Rejected(f"{PREFIX}TELEMETRY_FORM must be one of {', '.join(Form)}, not {config.telemetry_form!r}")
    if config.dialled in WILDCARDS:
        raise Rejected(
            f"others cannot dial {config.dialled!r}; add --advertise with this machine's name or one of its addresses"
        )
    return config


def _check_numbers(config: AgentConfig) -> None:
    """The system takes a port for the rest of its division by 65536. Raises Rejected."""
    for name in ("http_port", "grpc_port", "metrics_port"):
        port = getattr(config, name)
        if not 0 <= port <= MAX_PORT:
            raise Rejected(f"{PREFIX}{name.upper()} must be from 0 to {MAX_PORT}, not {port}")
    for name in _AMOUNTS:
        value = getattr(config, name)
        if not 0 <= value < math.inf:
            raise Rejected(f"{PREFIX}{name.upper()} must be 0 or more, not {value}")
    if config.decision_log > 1:
        raise Rejected(f"{PREFIX}DECISION_LOG must be a share from 0 to 1, not {config.decision_log}")


def _check_site(config: AgentConfig) -> None:
    """Raises Rejected."""
    if config.site_cache_listen:
        address.listens(config.site_cache_listen, f"{PREFIX}SITE_CACHE_LISTEN")
    if config.site_cache:
        address.asked(config.site_cache, f"{PREFIX}SITE_CACHE")
    if config.site_cache_listen and config.site_cache:
        raise Rejected(
            f"a box is the cache of its site or asks one, not both; leave out {PREFIX}SITE_CACHE_LISTEN or "
            f"{PREFIX}SITE_CACHE"
        )


def _parsed(key: str, text: str, default: object, name: str) -> object:
    try:
        if isinstance(default, Path) or name == "bearer_file":
            return Path(text)
        if isinstance(default, (int, float)):
            return type(default)(text)
    except ValueError as error:
        raise Rejected(f"{key}={text!r} must be a number") from error
    return text
