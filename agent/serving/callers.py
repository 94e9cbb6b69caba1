"""Who is at the other end of a connection: only for callers on this box can it be told.

Shared memory is given to the user who asks for it, and the kernel knows whose a loopback connection is: it is asked
(NETLINK_SOCK_DIAG, some microseconds) at each use, since a port may be somebody else's a moment later.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_SOCK_DIAG = 4  # protocol NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # message SOCK_DIAG_BY_FAMILY, the answer's as well
_REQUEST = 1  # flag NLM_F_REQUEST
_ESTABLISHED = 1
_NO_COOKIE = b"\xff" * 8
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_QUESTION = struct.Struct("=BBBBI")  # family, protocol, extensions, padding, states
_PORTS = struct.Struct("!HH")
_STATE_AT = _HEADER.size + 1
_UID_AT = _HEADER.size + 4 + 48 + 12  # behind family to retransmits, the socket's id, expiry and two queues


@dataclass(frozen=True)
class Caller:
    """The other end: its address and port, and the port of ours it came to."""

    host: str
    port: int
    our_port: int

    @property
    def address(self) -> Address | None:
        """An IPv4 address behind an IPv6 socket as the former."""
        return _address(self.host)

    @property
    def on_this_box(self) -> bool:
        return self.address is not None and self.address.is_loopback


@lru_cache(maxsize=64)  # most callers on a box come from one of two addresses
def _address(host: str) -> Address | None:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def of_grpc(peer: str, our_port: int) -> Caller | None:
    """`ipv4:127.0.0.1:4711` and `ipv6:[::1]:4711`, the brackets escaped, as gRPC names its peers."""
    family, _, rest = unquote(peer).partition(":")
    host, _, port = rest.rpartition(":")
    if family not in ("ipv4", "ipv6") or not port.isdecimal():
        return None
    return Caller(host.strip("[]"), int(port), our_port)


class Kernel:
    """Tells whose a connection is; asked over one socket, which it opens at the first question."""

    def __init__(self) -> None:
        self._netlink: socket.socket | None = None
        self._asked = 0

    def user_of(self, caller: Caller) -> int | None:
        """The user; None where it is no loopback connection, it has ended, or the kernel does not say."""
        if not caller.on_this_box:
            return None
        self._asked = (self._asked + 1) & 0xFFFFFFFF
        try:
            return _user_in(self._answer(_question(caller, self._asked)), self._asked)
        except OSError:
            self.close()  # what it still holds would be taken for the next answer
            return None

    def close(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def _answer(self, question: bytes) -> bytes:
        if self._netlink is None:
            self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
        self._netlink.send(question)
        return self._netlink.recv(4096, socket.MSG_DONTWAIT)  # it is there when `send` returns


def _user_in(answer: bytes, asked: int) -> int | None:
    try:
        _, kind, _, number, _ = _HEADER.unpack_from(answer)
        if (kind, number, answer[_STATE_AT]) == (_BY_FAMILY, asked, _ESTABLISHED):
            return int(struct.unpack_from("=I", answer, _UID_AT)[0])
    except (struct.error, IndexError):
        pass  # an answer of another kind is as good as none
    return None


def _question(caller: Caller, number: int) -> bytes:
    """Ask for the one socket from there to us; the near end of a loopback connection is ours."""
    address = caller.address
    assert address is not None
    family, here = (socket.AF_INET, "127.0.0.1") if address.version == 4 else (socket.AF_INET6, "::1")
    ends = [end.ljust(16, b"\0") for end in (address.packed, socket.inet_pton(family, here))]
    socket_id = _PORTS.pack(caller.port, caller.our_port) + b"".join(ends) + bytes(4) + _NO_COOKIE
    body = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + socket_id
    return _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, number, 0) + body
