"""IdentityStore as files: identity/{key.pem (0600), cert.pem, ca.pem, node.json, facts.json} in the state directory.

`cert.pem` is the commit point. A fresh key waits as key.next.pem, or as key.<token id>.pem while the box joins: the
agent may run and renew meanwhile. It becomes key.pem after the certificate that fits it is there. `load` finishes what
a crash left between those two. root.json comes before it. facts.json remembers what cert.pem says, so that looking at
it costs nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from agent.adapters import files
from agent.adapters.trust_files import TrustFiles
from agent.identity.decisions import CertificateFacts
from agent.identity.store import Identity, Keys, Membership
from protos.errors import Rejected, Retryable
from protos.ids import node_id

_PRIVATE = 0o600


class IdentityDirectory:
    """See agent.identity.store.IdentityStore."""

    def __init__(self, state_dir: Path, keys: Keys) -> None:
        self.path = state_dir / "identity"
        self._keys = keys

    @property
    def joined(self) -> bool:
        return (self.path / "cert.pem").is_file()

    def load(self) -> Identity:
        """See the port."""
        if not self.joined:
            raise Rejected("this box has not joined a control plane; run 'longshore-agent join URL --token …'")
        self._settle()
        return Identity(self._member(), self._read("cert.pem"), self._read("ca.pem"), self._read("key.pem"))

    def facts(self) -> CertificateFacts:
        """See the port."""
        certificate = self._read("cert.pem")
        of = hashlib.sha256(certificate).hexdigest()
        try:
            known = json.loads((self.path / "facts.json").read_bytes())
            if known.pop("of") == of:
                return CertificateFacts(**known)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # not remembered yet, or of another certificate
        facts = self._keys.facts(certificate)
        with contextlib.suppress(Retryable):  # a full disk: it is asked again then
            files.write_atomic(self.path / "facts.json", json.dumps({"of": of, **vars(facts)}).encode())
        return facts

    def stage_key(self, key: bytes, token_id: str = "") -> None:
        files.make_directory(self.path, 0o700)
        if token_id:
            for earlier in self._staged() - {self._next}:
                earlier.unlink(missing_ok=True)
        files.write_atomic(self._joining(token_id) if token_id else self._next, key, _PRIVATE)

    def staged_key(self, token_id: str) -> bytes | None:
        path = self._joining(token_id)
        with files.translated(path):
            return path.read_bytes() if path.is_file() else None

    def commit(self, member: Membership, certificate: bytes, ca: bytes, root: bytes | None = None) -> Identity:
        """See the port."""
        if root or (root is not None and ca != self._kept_ca()):
            TrustFiles(self.path).keep_root(root)
        files.write_atomic(self.path / "ca.pem", ca)
        files.write_atomic(self.path / "node.json", _node_json(member))
        files.write_atomic(self.path / "cert.pem", certificate)
        self.facts()
        return self.load()

    def _kept_ca(self) -> bytes:
        with contextlib.suppress(Rejected):
            return self._read("ca.pem")
        return b""

    def _settle(self) -> None:
        """The staged key that the certificate is for takes its place."""
        for staged in self._staged():
            if self._keys.public_key(staged.read_bytes()) == self.facts().public_key:
                files.finalise(staged, self.path / "key.pem")

    def _staged(self) -> set[Path]:
        return set(self.path.glob("key.*.pem"))

    @property
    def _next(self) -> Path:
        return self.path / "key.next.pem"

    def _joining(self, token_id: str) -> Path:
        return self.path / f"key.{token_id}.pem"

    def _member(self) -> Membership:
        try:
            found = json.loads(self._read("node.json"))
            return Membership(node_id(found["nodeId"]), found["url"], found["fleetAddress"], found["role"])
        except (ValueError, KeyError, TypeError) as error:
            raise Rejected(f"{self.path / 'node.json'} is not readable; join this box again") from error

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise Rejected(f"{self.path / name}: {error.strerror}; join this box again") from error


def _node_json(member: Membership) -> bytes:
    known = {
        "nodeId": member.node_id,
        "url": member.url,
        "fleetAddress": member.fleet_address,
        "role": member.role,
    }
    return (json.dumps(known, indent=2, sort_keys=True) + "\n").encode()
