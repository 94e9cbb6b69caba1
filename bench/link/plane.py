"""The real control plane's HTTPS server over files that were put into its store, in a thread of its own.

Releases are made of bytes that look random, as weights do; nobody looks into them, so they are not pushed.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.ports import Grant
from controlplane.adapters.http_server import http_servers
from controlplane.adapters.tls import ServerCertificate
from controlplane.config import Config
from controlplane.container import Services
from controlplane.web import create_app
from controlplane.wiring import build
from protos import manifest
from protos.ids import Digest, ModelName, NodeId, Version, digest_of
from protos.manifest import FileEntry, ImageInput, Manifest, Variant

PIECE = 1 << 20
HOST = "127.0.0.1"
NODE = NodeId("quay-1")


@dataclass(frozen=True)
class Stored:
    """A release whose files the control plane has. `size`: of all of them, the manifest too."""

    digest: Digest
    model: Digest
    size: int
    manifest_size: int


@dataclass(frozen=True)
class Plane:
    services: Services
    port: int
    ca: bytes

    def grant(self, port: int) -> Grant:
        """As a Sync hands it out, for whoever listens at `port`."""
        expires = int(1000 * (time.time() + self.services.config.grant_seconds))
        return Grant(f"https://{HOST}:{port}/api/v1/blobs", self.services.grants.give(NODE, expires))

    def store(self, version: str, size: int, name: str = "harbour") -> Stored:
        """A release with a model of `size` bytes."""
        seed = f"{name} {version} {size}"
        model = Digest(f"sha256:{_hash(seed, size)}")
        self._put(model, size, _pieces(seed, size))
        entry = FileEntry("model.onnx", model, size, "model")
        described = Manifest(
            name=ModelName(name),
            version=Version(version),
            task="detection",
            input=ImageInput("image", 320, 320),
            labels=("boat",),
            variants=(Variant("fp32", "fp32", "model.onnx"),),
            files=(entry,),
        )
        written = manifest.to_bytes(described)
        self._put(digest_of(written), len(written), iter([written]))
        return Stored(manifest.release_digest(written), model, size + len(written), len(written))

    def _put(self, digest: Digest, size: int, pieces: Iterator[bytes]) -> None:
        registry = self.services.registry
        upload = registry.begin_upload(digest, size)
        if upload.complete:  # stored before
            return
        receiving = registry.receive(upload.id, 0)
        for piece in pieces:
            receiving.write(piece)
        receiving.finish()
        receiving.close()


@contextmanager
def plane(folder: Path) -> Iterator[Plane]:
    """Serves until the block ends."""
    services = build(Config(state=folder))
    ca = services.authority.ca_pem.encode()
    certificate = ServerCertificate(services.authority, (HOST,), services.clock, services.config.folder / "ca")
    taken = socket.socket()
    taken.bind((HOST, 0))
    ready, stopping = threading.Event(), threading.Event()

    async def serve() -> None:
        async with http_servers(create_app(services), [(taken, certificate.context)]):
            ready.set()
            await asyncio.to_thread(stopping.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="control plane")
    thread.start()
    try:
        ready.wait()
        yield Plane(services, taken.getsockname()[1], ca)
    finally:
        stopping.set()
        thread.join()
        services.database.close()


def _pieces(seed: str, size: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    for start in range(0, size, PIECE):
        yield rng.randbytes(min(PIECE, size - start))


def _hash(seed: str, size: int) -> str:
    running = hashlib.sha256()
    for piece in _pieces(seed, size):
        running.update(piece)
    return running.hexdigest()
