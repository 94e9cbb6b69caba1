"""What `longshore up` was asked for: one frozen value; ports and folders follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from controlplane.config import bracketed, is_wildcard, undiallable

AGENT_PORT_STEP = 10  # each local agent takes three ports from its own ten
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class PortUse:
    """Where this tree will listen, and the flag that moves it."""

    host: str
    port: int
    what: str
    flag: str


@dataclass(frozen=True)
class UpOptions:
    state: Path = Path(".longshore")
    demo: bool = False
    listen: str = "127.0.0.1"  # HTTPS, gRPC and the broker; plain HTTP never leaves loopback
    advertise: str = ""  # the name boxes dial; default: `listen`
    https_port: int = 8443
    http_port: int = 8080
    grpc_port: int = 8444
    broker_port: int = 8883
    rtsp_port: int = 8554
    agents_port: int = 8000  # of the first local agent; the others follow in steps of ten
    embedded_broker: bool = False  # even where mosquitto is installed
    lend_context: bool = True  # to ~/.config/longshore/config.yaml, while it runs (docs/adr/0016-up-lends-a-context.md)

    def __post_init__(self) -> None:
        if is_wildcard(self.advertised):
            raise undiallable(self.advertised, "--advertise")

    @property
    def advertised(self) -> str:
        return self.advertise or self.listen

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def page(self) -> str:
        """Where people on this machine look: plain HTTP that cannot leave it (docs/adr/0008)."""
        return f"http://{LOOPBACK}:{self.http_port}"

    @property
    def url(self) -> str:
        """Where boxes enrol and fetch. Nothing in this tree dials it: this machine need not know its own name."""
        return f"https://{bracketed(self.advertised)}:{self.https_port}"

    @property
    def local_url(self) -> str:
        """The same for this tree and for commands on this machine."""
        return f"https://{bracketed(here(self.listen))}:{self.https_port}"

    @property
    def fleet_address(self) -> str:
        """Where boxes sync."""
        return f"{bracketed(self.advertised)}:{self.grpc_port}"

    @property
    def rtsp(self) -> PortUse:
        """Claimed later than the others, once it is known whether there is an RTSP server."""
        return PortUse(LOOPBACK, self.rtsp_port, "the RTSP camera", "--rtsp-port")

    def ports(self, agents: int) -> list[PortUse]:
        """Every other port this tree needs."""
        uses = [
            PortUse(self.listen, self.https_port, "HTTPS", "--https-port"),
            PortUse(LOOPBACK, self.http_port, "the page", "--http-port"),
            PortUse(self.listen, self.grpc_port, "gRPC", "--grpc-port"),
            PortUse(self.listen, self.broker_port, "the broker", "--broker-port"),
        ]
        for index in range(agents):
            first = self.agents_port + index * AGENT_PORT_STEP
            uses += [PortUse(LOOPBACK, first + offset, "a demo agent", "--agents-port") for offset in range(3)]
        return uses


def here(listen: str) -> str:
    """Where this machine itself reaches what listens on `listen`; in every server certificate of this tree."""
    return {"": LOOPBACK, "0.0.0.0": LOOPBACK, "::": "::1"}.get(listen, listen)  # noqa: S104 - recognised, not bound
