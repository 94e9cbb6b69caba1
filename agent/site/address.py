"""Addresses of a site's local network: where a cache listens, and who may ask it. Pure.

Local is what no router of the Internet carries: loopback, private addresses (RFC 1918, RFC 4193) and link-local ones
(RFC 3927, RFC 4291). Names are not taken: what they stand for is decided elsewhere, and anew each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from protos.errors import Rejected

LOCAL = tuple(
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)
EXAMPLES = "such as 10.0.0.5 or [fd00::5]"


@dataclass(frozen=True)
class Place:
    """An address and a port of the local network."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_local(host: str) -> bool:
    """Of an address as text; an IPv4 address behind an IPv6 socket counts as the former."""
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in LOCAL)


def listens(text: str, key: str) -> Place:
    """`ADDRESS:PORT`, where a site cache listens. Raises Rejected, naming `key`."""
    place = _place(f"//{text}")
    if place is None:
        raise Rejected(f"{key} must read ADDRESS:PORT, {EXAMPLES} before the port, not {text!r}")
    return _local(place, key, "a site cache listens on")


def asked(url: str, key: str) -> Place:
    """`http://ADDRESS:PORT` of a site cache. Raises Rejected, naming `key`."""
    place = _place(url.removesuffix("/")) if url.startswith("http://") else None
    if place is None or not place.port:
        raise Rejected(f"{key} must read http://ADDRESS:PORT, {EXAMPLES} before the port, not {url!r}")
    return _local(place, key, "a site cache is asked at")


def _local(place: Place, key: str, what: str) -> Place:
    if not is_local(place.host):
        raise Rejected(
            f"{what} an address of the local network, {EXAMPLES}, and {place.host} is none; give {key} one that this "
            "box's network card has on the site, neither a name nor all addresses"
        )
    return place


def _place(url: str) -> Place | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or port is None or "@" in parts.netloc or parts.path or parts.query or parts.fragment:
        return None
    return Place(host, port)
