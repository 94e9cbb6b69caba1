"""A request whose head is, byte for byte, the one before's on its connection. Pure.

Most callers send the same head again and again, and what it says was read and judged: it is not parsed again. That
holds only for a request that came alone and whole, with a body whose length its head tells; the next one may then be
known by how it begins and how long it is, where the parser awaits a head: in the midst of a body the same bytes are
body. Heads that say something of this one request (its deadline; that its caller waits to be told to go on) are read
each time.
"""

from __future__ import annotations

import msgspec

from agent.serving.http1_messages import Request

NOT_AGAIN = frozenset({"expect", "transfer-encoding", "upgrade"})  # what they change is the parser's


class Seen(msgspec.Struct, frozen=True):
    """A head, how many bytes it and its body are together, and the request without its body."""

    head: bytes
    whole: int
    request: Request

    def again(self, data: bytes) -> Request | None:
        """The request in `data`, where its head is this one and it is whole and alone."""
        if len(data) != self.whole or not data.startswith(self.head):
            return None
        seen = self.request
        body = memoryview(data)[len(self.head) :]
        return Request(seen.method, seen.target, seen.headers, body, seen.proven, seen.ends, seen.who)


def seen(data: bytes, request: Request) -> Seen | None:
    """To know it again by; `data` is `request` whole and nothing else. None for one that is to be parsed each time."""
    length = request.headers.get("content-length", "0")
    if request.early or length == "0" or not NOT_AGAIN.isdisjoint(request.headers):
        return None
    return Seen(data[: len(data) - int(length)], len(data), request)
