"""What `longshore up` was asked for: one frozen value; ports and folders follow from it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

AGENT_PORT_STEP = 10  # each local agent takes three ports from its own ten


@dataclass(frozen=True)
class PortUse:
    """A port this tree will listen on, and the flag that moves it."""

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

    @property
    def advertised(self) -> str:
        if self.advertise:
            return self.advertise
        return "127.0.0.1" if self.listen in ("0.0.0.0", "::") else self.listen  # noqa: S104 - recognised, not bound

    @property
    def beyond_loopback(self) -> bool:
        try:
            return not ipaddress.ip_address(self.listen).is_loopback
        except ValueError:
            return self.listen != "localhost"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def page(self) -> str:
        """Where people on this machine look: plain HTTP that cannot leave it (docs/adr/0008)."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def url(self) -> str:
        """Where boxes enrol and fetch, and where commands go."""
        return f"https://{self.advertised}:{self.https_port}"

    @property
    def fleet_address(self) -> str:
        """Where boxes sync."""
        return f"{self.advertised}:{self.grpc_port}"

    @property
    def rtsp(self) -> PortUse:
        """Claimed later than the others, once it is known whether there is an RTSP server."""
        return PortUse(self.rtsp_port, "the RTSP camera", "--rtsp-port")

    def ports(self, agents: int) -> list[PortUse]:
        """Every other port this tree needs."""
        uses = [
            PortUse(self.https_port, "HTTPS", "--https-port"),
            PortUse(self.http_port, "the page", "--http-port"),
            PortUse(self.grpc_port, "gRPC", "--grpc-port"),
            PortUse(self.broker_port, "the broker", "--broker-port"),
        ]
        for index in range(agents):
            first = self.agents_port + index * AGENT_PORT_STEP
            uses += [PortUse(first + offset, "a demo agent", "--agents-port") for offset in range(3)]
        return uses
