"""The HTTPS side of a control plane as boxes see it: its CA, enrolment with single-use tokens, and late renewal."""

from __future__ import annotations

import hashlib
import json

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import json_format

from protos import fleet_pb2, tokens
from protos.tokens import JoinToken
from tests.sim.authority import SimAuthority
from tests.sim.https import Reply, Request

SECRET = "s" * 43


class SimFrontDoor:
    """A handler for SimHttps. `shows` is the CA that a stranger is shown."""

    def __init__(self, authority: SimAuthority, fleet_address: str = "127.0.0.1:1") -> None:
        self.authority = authority
        self.fleet_address = fleet_address
        self.shows = authority.pem
        self.spent: dict[str, bytes] = {}  # token id -> public key of the box that used it
        self.expired = False
        self.signer = authority  # who signs what boxes get
        self.gives = authority.pem  # the CA that boxes get
        self.other_node: str | None = None
        self.role = "edge"
        self.root = b""  # of signed metadata
        self.lost_answers = 0  # so many of the next answers get lost, after everything was done

    def token(self, token_id: str = "abcdefgh") -> JoinToken:
        return JoinToken(self.authority.pin, token_id, SECRET)

    def __call__(self, request: Request) -> Reply:
        if (request.method, request.path) == ("GET", "/api/v1/ca"):
            return Reply(200, self.shows)
        if (request.method, request.path) == ("POST", "/api/v1/enroll"):
            return self._sent(self._enroll(json_format.Parse(request.body, fleet_pb2.EnrollRequest())))
        if (request.method, request.path) == ("POST", "/api/v1/renew"):
            return self._sent(self._renew(json_format.Parse(request.body, fleet_pb2.LateRenewRequest())))
        return Reply(404, b"{}")

    def _sent(self, reply: Reply) -> Reply:
        self.lost_answers -= 1
        return Reply(raw=b"") if self.lost_answers >= 0 else reply

    def _enroll(self, request: fleet_pb2.EnrollRequest) -> Reply:
        token = tokens.parse(request.token)
        if token.secret_hash != hashlib.sha256(SECRET.encode()).hexdigest() or token.ca_pin != self.authority.pin:
            return _refused(401, "this join token is not known here")
        if self.expired:
            return _refused(401, "this join token has expired; make another with 'longshore token create'")
        if request.role and request.role != self.role:
            return _refused(401, f"this join token is for role {self.role}")
        key = _public_key(request.csr_pem)
        if self.spent.setdefault(token.token_id, key) != key:
            return _refused(401, "this join token was used already, by quay-1; make another")
        answer = fleet_pb2.EnrollResponse(
            node_id=request.node_id or "quay-1",
            certificate=self._certificate(request.csr_pem, self.other_node or request.node_id or "quay-1"),
            fleet_address=self.fleet_address,
            role=self.role,
            root=self.root,
        )
        return Reply(201, json_format.MessageToJson(answer).encode(), {"Content-Type": "application/json"})

    def _renew(self, request: fleet_pb2.LateRenewRequest) -> Reply:
        old = x509.load_pem_x509_certificate(request.certificate_pem.encode())
        content = x509.load_pem_x509_csr(request.csr_pem.encode()).public_bytes(serialization.Encoding.DER)
        key = old.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        try:
            key.verify(request.proof, content, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return _refused(401, "the request is not signed with the key of the certificate it came with")
        if self.expired:
            return _refused(401, "this box's certificate expired more than 90 days ago; join again with a new token")
        answer = self._certificate(request.csr_pem, self.other_node or "quay-1")
        return Reply(200, json_format.MessageToJson(answer).encode(), {"Content-Type": "application/json"})

    def _certificate(self, csr_pem: str, node: str) -> fleet_pb2.Certificate:
        certificate = self.signer.device(csr_pem, node).decode()
        return fleet_pb2.Certificate(certificate_pem=certificate, ca_pem=self.gives.decode(), not_after_unix_ms=1)


def _public_key(csr_pem: str) -> bytes:
    key = x509.load_pem_x509_csr(csr_pem.encode()).public_key()
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _refused(status: int, message: str) -> Reply:
    return Reply(status, json.dumps({"error": {"code": "invalid-token", "message": message}}).encode())
