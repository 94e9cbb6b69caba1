"""File grants: a short-lived bearer by which one box may fetch release files. No database, no state.

`lsg.<node>.<expiry unix ms>.<HMAC-SHA256 hex>`. It opens GET of blobs and nothing else; what a box then believes is
decided by digests, not by where the bytes came from.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field

from controlplane.errors import Unauthenticated
from protos.ids import NodeId

_GRANT = re.compile(r"lsg\.([a-z0-9-]{1,63})\.(\d{1,16})\.([0-9a-f]{64})")


@dataclass(frozen=True)
class Grant:
    node: NodeId
    expires_ms: int


@dataclass(frozen=True)
class Grants:
    """Gives and checks grants under one secret."""

    key: bytes = field(repr=False)

    def give(self, node: NodeId, expires_ms: int) -> str:
        return f"lsg.{node}.{expires_ms}.{self._mac(node, expires_ms)}"

    def check(self, bearer: str, now_ms: int) -> Grant:
        """Raises Unauthenticated."""
        found = _GRANT.fullmatch(bearer)
        if not found or not hmac.compare_digest(found[3], self._mac(found[1], int(found[2]))):
            raise Unauthenticated("this file grant is not ours; the next Sync hands out a good one")
        if int(found[2]) <= now_ms:
            raise Unauthenticated("this file grant has expired; the next Sync hands out a fresh one")
        return Grant(NodeId(found[1]), int(found[2]))

    def _mac(self, node: str, expires_ms: int) -> str:
        return hmac.new(self.key, f"{node}\n{expires_ms}".encode(), hashlib.sha256).hexdigest()


def is_grant(bearer: str) -> bool:
    """Whether this bearer claims to be a grant rather than an API token."""
    return bearer.startswith("lsg.")
