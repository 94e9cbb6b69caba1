"""Configuration of the control plane: one frozen value, read from the environment in one function.

Every field has a flag of `python -m controlplane.main serve` and a variable LONGSHORE_<FIELD>; a flag wins. Units are
in the names. Nothing else reads the environment.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from controlplane.trust.domain import REPLICAS
from protos.errors import Fatal

PREFIX = "LONGSHORE_"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LEAST = {
    "sync_interval_seconds": 1,
    "quiet_sync_seconds": 0,
    "beat_seconds": 0,
    "max_file_bytes": 1,
    "join_token_ttl_seconds": 1,
    "certificate_days": 1,
    "late_renewal_days": 0,
    "grant_seconds": 1,
    "runs_at_once": 0,
}
MOST_BEAT_SECONDS = 200
CHECKOUT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Broker:
    """An MQTT broker as somebody dials it. With `tls` it demands a client certificate of our CA."""

    host: str
    port: int
    tls: bool = False

    @property
    def on_loopback(self) -> bool:
        return is_loopback(self.host)


@dataclass(frozen=True)
class Config:
    """What one control-plane process needs to know."""

    state: Path  # everything this process writes lies in <state>/controlplane, and Runs in <state>/runs
    host: str = "127.0.0.1"  # where HTTPS and gRPC listen
    https_port: int = 8443  # people, enrolment, files
    http_port: int = 8080  # people on this machine, plain; 0 turns it off
    grpc_port: int = 8444  # agents, mutual TLS
    advertise_host: str = ""  # the name boxes dial; default: `host`
    database_url: str = ""  # sqlite:/// or postgresql+psycopg://; default: SQLite in the state folder
    broker_url: str = ""  # mqtt://host:port or mqtts://host:port as this process dials it; empty: no broker
    broker_advertise_url: str = ""  # the same as boxes dial it; default: broker_url
    broker_mqtt5: bool = False  # the broker speaks MQTT 5
    replica: int = 1  # which of the control planes on this database it is: each has a name of its own at the broker
    sync_interval_seconds: int = 10  # boxes report this often without a broker
    beat_seconds: int = 200  # with one, they say this often that they are there; 0: they need not
    quiet_sync_seconds: int = 86_400  # and report this often while nothing changes; 0: as without a broker
    max_file_bytes: int = 1 << 30  # of one release file: above edge models of today; ONNX ends at 2 GiB
    allowed_operators: str = ""  # of models, beside the gate's list: DOMAIN:OPERATOR, separated by commas
    join_token_ttl_seconds: int = 3600
    certificate_days: int = 7  # of a box; it renews from half of that on
    late_renewal_days: int = 90  # an expired certificate may still be renewed for so long; 0: never
    grant_seconds: int = 900  # how long a file grant of one Sync works
    recipes: Path = CHECKOUT / "models"  # recipes that may be run: folders in it with a recipe.toml
    train_python: str = ""  # a Python that has torch; default: .venv-train of the checkout, made on first use
    runs_at_once: int = 1  # trainings on this machine at the same time; 0: none, this control plane does not train
    without_online_keys: bool = False  # start on a shared database though none of them is here: they are lost
    keys: str = ""  # where the first start puts what is to be carried away; default: `keys` in the state folder
    key_pin: str = field(default="", repr=False, metadata={"flag": False})  # of a PKCS#11 token with online keys
    log_level: str = "info"

    def __post_init__(self) -> None:
        for name in ("https_port", "http_port", "grpc_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise Fatal(f"{_flag(name)} must be a port from 0 to 65535")
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise Fatal(f"{_flag(name)} must be at least {least}")
        if self.beat_seconds > MOST_BEAT_SECONDS:
            raise Fatal(f"--beat-seconds must be at most {MOST_BEAT_SECONDS}: who is gone is shown within five minutes")
        if not 1 <= self.replica <= REPLICAS:
            raise Fatal(f"--replica must be a number from 1 to {REPLICAS}")
        if self.log_level.upper() not in LOG_LEVELS:
            raise Fatal(f"--log-level must be one of {', '.join(LOG_LEVELS).lower()}")
        if is_wildcard(self.advertised):
            raise undiallable(self.advertised, "--advertise-host")
        broker(self.broker_url)
        broker(self.broker_advertise_url)

    @property
    def folder(self) -> Path:
        return self.state / "controlplane"

    @property
    def keys_folder(self) -> Path:
        """Offline and release keys, apart from everything else of this process: it writes them once, and reads none."""
        return Path(self.keys).absolute() if self.keys else self.state / "keys"

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.folder / 'longshore.db'}"

    @property
    def advertised(self) -> str:
        """The host name that boxes are told."""
        return self.advertise_host or self.host

    @property
    def base_url(self) -> str:
        return f"https://{bracketed(self.advertised)}:{self.https_port}"

    @property
    def page_url(self) -> str:
        """Where people on this machine look: plain HTTP that cannot leave it (docs/adr/0008)."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def fleet_address(self) -> str:
        return f"{bracketed(self.advertised)}:{self.grpc_port}"

    @property
    def broker(self) -> Broker | None:
        """As this process dials it."""
        return broker(self.broker_url)

    @property
    def broker_for_boxes(self) -> Broker | None:
        return broker(self.broker_advertise_url or self.broker_url)

    @property
    def server_names(self) -> tuple[str, ...]:
        return server_names(self.host, self.advertised)


def server_names(host: str, advertised: str) -> tuple[str, ...]:
    """Names and addresses in the certificate of a server that listens on `host`: this machine's own, then boxes'."""
    return tuple(dict.fromkeys((*LOOPBACK_NAMES, *(name for name in (host, advertised) if not is_wildcard(name)))))


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_wildcard(host: str) -> bool:
    return host in ("", "0.0.0.0", "::")  # noqa: S104 - recognised, not bound


def undiallable(host: str, flag: str) -> Fatal:
    """What is wrong with telling boxes to dial `host`, which names no machine; `flag` names one."""
    return Fatal(f"boxes cannot dial {host!r}; add {flag} with this machine's name, or an address of 'hostname -I'")


def bracketed(host: str) -> str:
    """An IPv6 address as URLs want it."""
    return f"[{host}]" if ":" in host else host


def broker(url: str) -> Broker | None:
    """Raises Fatal when `url` names no broker."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise Fatal("the broker URL must look like mqtt://127.0.0.1:1883 or mqtts://host:8883")
    tls = parts.scheme == "mqtts"
    return Broker(parts.hostname, port or (8883 if tls else 1883), tls)


def load(environment: Mapping[str, str], **flags: Any) -> Config:
    """Environment under flags; a flag that is None was not given.

    Raises:
        Fatal: a value is missing or of the wrong kind.
    """
    given: dict[str, Any] = {}
    for entry in fields(Config):
        key = _flag(entry.name)
        value = flags.get(entry.name)
        if value is None:
            key = PREFIX + entry.name.upper()
            value = environment.get(key)
        if value is not None:
            given[entry.name] = _typed(key, str(entry.type), value)
    if "state" not in given:
        raise Fatal("no state folder given; add --state DIR")
    return Config(**given)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _typed(key: str, kind: str, value: Any) -> Any:
    """`key`: how the value was given, for the sentence when it is wrong."""
    if kind == "Path":
        return Path(value).absolute()
    if kind == "bool":
        return value if isinstance(value, bool) else str(value).lower() in ("1", "true", "yes", "on")
    if kind == "int":
        try:
            return int(value)
        except ValueError:
            raise Fatal(f"{key} must be a whole number, not {value!r}") from None
    return str(value)
