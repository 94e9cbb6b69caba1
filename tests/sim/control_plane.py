"""A control plane without sockets: the real services and routes on SQLite, under a fake clock, asked through ASGI.

`SimInspector` stands for the process that looks into ONNX files; what it should refuse, the test says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from google.protobuf.message import DecodeError
from onnx import ModelProto
from sqlalchemy import delete, select, update

from controlplane.adapters.blob_memory import MemoryBlobStore
from controlplane.adapters.executor_memory import MemoryExecutor
from controlplane.adapters.notary import FolderNotary
from controlplane.adapters.notifier_memory import MemoryNotifier
from controlplane.adapters.trust_files import first_documents
from controlplane.adapters.x509 import LocalAuthority, new_ca
from controlplane.config import Config
from controlplane.container import Services
from controlplane.db import Database
from controlplane.identity.service import IdentityService
from controlplane.metrics import new_registry
from controlplane.migrations.migrate import migrate
from controlplane.registry.domain import StoredRelease
from controlplane.registry.grants import Grants
from controlplane.registry.outline import Outline, outline
from controlplane.registry.ports import Read
from controlplane.registry.service import RegistryService
from controlplane.signing.chain import proven
from controlplane.signing.keys import read_key
from controlplane.signing.listing import listed
from controlplane.tables import Release, SignedDocument
from controlplane.trust.repository import TrustRepository
from controlplane.web import create_app
from controlplane.wiring import Adapters, assemble
from protos import trust
from protos.errors import Rejected
from protos.ids import Digest, digest_of
from protos.manifest import Manifest, Measured
from protos.trust import Listing
from tests.sim.clock import FakeClock
from tests.sim.releases import MadeRelease

_NOT_RELEASED = (trust.ROOT, *trust.ONLINE)


@dataclass
class SimInspector:
    """Implements controlplane.registry.ports.Inspector."""

    refuses: dict[str, str] = field(default_factory=dict)  # path → why
    seen: list[tuple[str, int]] = field(default_factory=list)
    measures: Measured = Measured(24_000_000, 32_000)  # noqa: RUF009 - a value

    def inspect(self, path: str, read: Read, manifest: Manifest) -> Measured:
        self.seen.append((path, sum(map(len, read()))))
        if path in self.refuses:
            raise Rejected(f"{path} {self.refuses[path]}")
        return self.measures

    def outline(self, path: str, read: Read, size: int) -> Outline:
        """Of a graph the real one; of a test's random bytes what two of them can differ in."""
        whole = b"".join(read())
        self.seen.append((path, len(whole)))
        with suppress(DecodeError):
            return outline(ModelProto.FromString(whole))
        weights = {"parameters": size // 4, "weights": {"float32": size // 4}}
        graph = {"opset": 17, "producer": "sim", "inputs": [], "outputs": [], "nodes": 60 + whole[0] % 7}
        return {**graph, **weights, "operators": {"Conv": 15 + whole[1] % 5}}


class SimBrowser:
    """An HTTP client without sockets, for tests that are not async themselves."""

    def __init__(self, app: FastAPI, headers: dict[str, str], address: str = "127.0.0.1") -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 50_000))
        self._http = httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers)
        self._runner = asyncio.Runner()

    @property
    def cookies(self) -> httpx.Cookies:
        return self._http.cookies

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._runner.run(self._http.request(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def head(self, path: str, **options: Any) -> httpx.Response:
        return self.request("HEAD", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.request("DELETE", path, **options)

    def close(self) -> None:
        self._runner.run(self._http.aclose())
        self._runner.close()


class SimControlPlane:
    """Parts are public: a test reaches for the one it is about."""

    def __init__(self, folder: Path, clock: FakeClock, **settings: Any) -> None:
        self.clock = clock
        self.config = Config(state=folder, **{"recipes": folder / "recipes", **settings})
        self.database = Database(f"sqlite:///{folder / 'longshore.db'}")
        migrate(self.database)
        self.authority = LocalAuthority(*new_ca(clock.unix()))
        self.blobs = MemoryBlobStore(clock)
        self.inspector = SimInspector()
        self.notifier = MemoryNotifier()
        self.executor = MemoryExecutor()
        self.services = self._services()
        self.services.trust.begin(self._first_documents)
        self._browsers: list[SimBrowser] = []
        self.token = self.identity.create_api_token("test").text
        self.client = self.browser({"Authorization": f"Bearer {self.token}"})
        self.stranger = self.browser({})

    def _services(self) -> Services:
        adapters = Adapters(
            clock=self.clock,
            database=self.database,
            authority=self.authority,
            blobs=self.blobs,
            notifier=self.notifier,
            inspector=self.inspector,
            grants=Grants(b"k" * 32),
            notary=FolderNotary(self.config.folder / "trust", self.config.key_pin),
            executor=self.executor,
        )
        return assemble(self.config, adapters)

    def _first_documents(self) -> dict[str, bytes]:
        return first_documents(self.config.folder / "trust", self.config.keys_folder, int(self.clock.unix()))

    @property
    def identity(self) -> IdentityService:
        return self.services.identity

    @property
    def registry(self) -> RegistryService:
        return self.services.registry

    def browser(self, headers: dict[str, str], address: str = "127.0.0.1") -> SimBrowser:
        """Somebody who asks from there, remembering cookies."""
        browser = SimBrowser(create_app(replace(self.services, metrics=new_registry())), headers, address)
        self._browsers.append(browser)
        return browser

    def upload(self, content: bytes) -> Digest:
        """Put a file into the registry, as a push does."""
        digest = digest_of(content)
        upload = self.registry.begin_upload(digest, len(content))
        if not upload.complete:
            receiving = self.registry.receive(upload.id, upload.offset)
            receiving.write(content[upload.offset :])
            receiving.finish()
            receiving.close()
        return digest

    def upload_files(self, made: MadeRelease) -> None:
        for digest, content in made.blobs.items():
            if digest != made.digest:
                self.upload(content)

    def push(self, made: MadeRelease, *, signed: bool = True, **terms: Any) -> StoredRelease:
        """`terms`: fields of protos.trust.Listing, such as `floor`."""
        self.upload_files(made)
        stored = self.registry.create_release(made.manifest)[0]
        if signed:
            self.sign(stored, **terms)
        return stored

    def sign(self, stored: StoredRelease, **terms: Any) -> None:
        """With the release key that the first start made."""
        about = Listing(stored.model, stored.version, stored.digest, len(stored.manifest), 1, stored.task, **terms)
        with self.database.read() as session:
            contents = TrustRepository(session).newest()
        below = {role: content for role, content in contents.items() if role not in _NOT_RELEASED}
        found = proven(contents[trust.ROOT], below)
        signers = [read_key(self.config.keys_folder / "release.key")]
        self.services.trust.take(listed(found, [about], (), signers, int(self.clock.unix())))

    # ---- what a thief of the database can do ----

    def show(self, name: str, manifest: bytes) -> None:
        """As the manifest of the release of that name."""
        with self.database.begin() as session:
            session.execute(update(Release).where(Release.name == name).values(manifest=manifest))

    def signed_documents(self) -> list[tuple[str, int, bytes]]:
        """Role, version, content of each that is kept."""
        with self.database.read() as session:
            rows = session.execute(select(SignedDocument.role, SignedDocument.version, SignedDocument.content))
            return [(role, version, content) for role, version, content in rows]

    def bring_back(self, documents: Iterable[tuple[str, int, bytes]]) -> None:
        """In place of all that are kept."""
        with self.database.begin() as session:
            session.execute(delete(SignedDocument))
            session.add_all(
                SignedDocument(role=role, version=version, content=content, created_ms=0)
                for role, version, content in documents
            )

    def close(self) -> None:
        for browser in self._browsers:
            browser.close()
        self.database.close()
