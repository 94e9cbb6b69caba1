"""The HTTPS side of a control plane that boxes join: /api/v1/ca and /api/v1/enroll with single-use tokens."""

from __future__ import annotations

import hashlib
import json

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
        self.spent: set[str] = set()
        self.expired = False
        self.signer = authority  # who signs what boxes get
        self.other_node: str | None = None

    def token(self, token_id: str = "abcdefgh") -> JoinToken:
        return JoinToken(self.authority.pin, token_id, SECRET)

    def __call__(self, request: Request) -> Reply:
        if (request.method, request.path) == ("GET", "/api/v1/ca"):
            return Reply(200, self.shows)
        if (request.method, request.path) == ("POST", "/api/v1/enroll"):
            return self._enroll(json_format.Parse(request.body, fleet_pb2.EnrollRequest()))
        return Reply(404, b"{}")

    def _enroll(self, request: fleet_pb2.EnrollRequest) -> Reply:
        token = tokens.parse(request.token)
        if token.secret_hash != hashlib.sha256(SECRET.encode()).hexdigest() or token.ca_pin != self.authority.pin:
            return _refused(401, "this join token is not known here")
        if self.expired:
            return _refused(401, "this join token has expired; make another with 'longshore token create'")
        if token.token_id in self.spent:
            return _refused(401, "this join token was used already, by quay-1; make another")
        self.spent.add(token.token_id)
        node = self.other_node or request.node_id or "quay-1"
        certificate = self.signer.device(request.csr_pem, node)
        answer = fleet_pb2.EnrollResponse(
            node_id=request.node_id or "quay-1",
            certificate=fleet_pb2.Certificate(
                certificate_pem=certificate.decode(), ca_pem=self.authority.pem.decode(), not_after_unix_ms=1
            ),
            fleet_address=self.fleet_address,
        )
        return Reply(201, json_format.MessageToJson(answer).encode(), {"Content-Type": "application/json"})


def _refused(status: int, message: str) -> Reply:
    return Reply(status, json.dumps({"error": {"code": "invalid-token", "message": message}}).encode())
