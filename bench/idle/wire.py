"""All IP packets between a box and its control plane, on the loopback interface of one machine.

The box dials an address that nobody else dials, ADDRESS; a packet socket behind a filter for it sees each packet once,
from its IP header on. The loopback interface carries segments of up to 64 KiB and counts no frames: what a line with
packets of 1,500 bytes would carry is computed, a header for each piece. Needs CAP_NET_RAW.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
import time
from dataclasses import dataclass

from protos.errors import Fatal

ADDRESS = "127.0.0.9"
MTU = 1500
_ETH_P_IP, _SOL_PACKET, _STATISTICS, _ATTACH_FILTER, _HOST = 0x0800, 263, 6, 26, 0
_TCP = 6
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # of the classic packet filter
_BUFFER_BYTES = 8 << 20


@dataclass(frozen=True)
class Packet:
    """`at`: monotonic seconds; `port`: the server's; `client`: the box's; sizes in bytes."""

    at: float
    port: int
    client: int
    up: bool  # from the box
    payload: int  # of TCP
    size: int  # on a line, with IP and TCP headers


def parsed(packet: bytes, at: float, address: str = ADDRESS) -> Packet | None:
    """None: it is no TCP."""
    if packet[9] != _TCP:
        return None
    ip = 4 * (packet[0] & 15)
    total = struct.unpack_from("!H", packet, 2)[0]
    source, target = struct.unpack_from("!HH", packet, ip)
    headers = ip + 4 * (packet[ip + 12] >> 4)
    payload = total - headers
    up = socket.inet_ntoa(packet[16:20]) == address
    port, client = (target, source) if up else (source, target)
    return Packet(at, port, client, up, payload, on_a_line(payload, headers))


def on_a_line(payload: int, headers: int) -> int:
    """Bytes of one segment, cut as a line cuts it."""
    pieces = max(1, -(-payload // (MTU - headers)))
    return payload + pieces * headers


class Wire:
    """`start`, then `packets` grows until `stop`."""

    def __init__(self, address: str = ADDRESS) -> None:
        """Raises Fatal."""
        self._address = address
        self.packets: list[Packet] = []
        self._stopped = threading.Event()
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
        except PermissionError:
            raise Fatal("counting packets needs CAP_NET_RAW; run this as root") from None
        _keep_only(self._socket, address)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._socket.bind(("lo", _ETH_P_IP))
        self._socket.settimeout(0.2)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Raises Fatal: the kernel had to leave packets out."""
        self._stopped.set()
        self._thread.join()
        _, dropped = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        self._socket.close()
        if dropped:
            raise Fatal(f"{dropped} packets were not counted; run this on a machine that does less beside it")

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                content, about = self._socket.recvfrom(1 << 16)
            except TimeoutError:
                continue
            if about[2] == _HOST and (found := parsed(content, time.monotonic(), self._address)):
                self.packets.append(found)


def _keep_only(listening: socket.socket, address: str) -> None:
    """Packets from or to `address`; others never leave the kernel."""
    wanted = int.from_bytes(socket.inet_aton(address), "big")
    program = [
        (_LOAD, 0, 0, 12),  # source
        (_EQUAL, 2, 0, wanted),
        (_LOAD, 0, 0, 16),  # destination
        (_EQUAL, 0, 1, wanted),
        (_RETURN, 0, 0, 1 << 16),
        (_RETURN, 0, 0, 0),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    asked = struct.pack("HL", len(program), ctypes.addressof(code))
    listening.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, asked)
