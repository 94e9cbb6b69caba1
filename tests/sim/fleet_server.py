"""The control plane as a box sees it, in this process: a real gRPC server with mutual TLS, state under the test's hand.

What a box reports is kept; what it should be is `desired`. Nodes in `deleted` are not admitted.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import TypeAlias

import grpc
import grpc.aio
from cryptography import x509

from protos import fleet_pb2, fleet_pb2_grpc
from tests.sim.authority import SimAuthority

Context: TypeAlias = grpc.aio.ServicerContext


class SimFleetServer(fleet_pb2_grpc.FleetServicer):
    """`address` is good while `running` is entered."""

    def __init__(self, authority: SimAuthority) -> None:
        self.authority = authority
        self.desired = fleet_pb2.DesiredState(generation=1, sync_interval_seconds=15)
        self.grant = fleet_pb2.FileGrant(base_url="https://127.0.0.1:1/api/v1/blobs", bearer="secret")
        self.reports: list[tuple[str, fleet_pb2.SyncRequest]] = []
        self.frames: list[fleet_pb2.WatchFrame] = []
        self.wishes: list[fleet_pb2.SnapshotWish] = []
        self.deleted: set[str] = set()
        self.failing: grpc.StatusCode | None = None
        self.certificates: list[str] = []  # PEM shown by callers, newest last
        self.address = ""

    @contextlib.asynccontextmanager
    async def running(
        self, server_certificate: tuple[bytes, bytes] | None = None, port: int = 0
    ) -> AsyncIterator[SimFleetServer]:
        certificate, key = server_certificate or self.authority.server()
        credentials = grpc.ssl_server_credentials([(key, certificate)], self.authority.pem, require_client_auth=True)
        server = grpc.aio.server()
        fleet_pb2_grpc.add_FleetServicer_to_server(self, server)
        bound = server.add_secure_port(f"127.0.0.1:{port}", credentials)
        self.address = f"127.0.0.1:{bound}"
        await server.start()
        try:
            yield self
        finally:
            await server.stop(0)

    async def Sync(self, request: fleet_pb2.SyncRequest, context: Context) -> fleet_pb2.SyncResponse:
        node = await self._admit(context)
        self.reports.append((node, request))
        return fleet_pb2.SyncResponse(desired=self.desired, grant=self.grant, clock_unix_ms=int(time.time() * 1000))

    async def Wishes(self, request: fleet_pb2.WishesRequest, context: Context) -> AsyncIterator[fleet_pb2.SnapshotWish]:
        await self._admit(context)
        for wish in self.wishes:
            yield wish

    async def Renew(self, request: fleet_pb2.RenewRequest, context: Context) -> fleet_pb2.Certificate:
        node = await self._admit(context)
        certificate = self.authority.device(request.csr_pem, node)
        return fleet_pb2.Certificate(certificate_pem=certificate.decode(), ca_pem=self.authority.pem.decode())

    async def Watch(
        self, request_iterator: AsyncIterator[fleet_pb2.WatchFrame], context: Context
    ) -> fleet_pb2.WatchSummary:
        await self._admit(context)
        async for frame in request_iterator:
            self.frames.append(frame)
        return fleet_pb2.WatchSummary(received=len(self.frames))

    async def _admit(self, context: Context) -> str:
        if self.failing is not None:
            await context.abort(self.failing, "as the test wishes")
        pem = context.auth_context()["x509_pem_cert"][0]
        self.certificates.append(pem.decode())
        names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        node = names.value.get_values_for_type(x509.UniformResourceIdentifier)[0].rpartition("/")[2]
        if node in self.deleted:
            await context.abort(
                grpc.StatusCode.PERMISSION_DENIED, f"node {node} was deleted; join again with a new token"
            )
        return node
