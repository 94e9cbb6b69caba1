"""Use cases of the registry: files come in by digest, then a release names them. One transaction each.

A file is hashed while it is received and becomes readable only when its hash is right; no step holds one in memory.
Pushing the same again changes nothing. Looking into an ONNX file happens outside any transaction and any lock, for few
releases at once. No sweep comes between looking for a file and naming it: what was looked for counts as stored anew.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from controlplane import tables
from controlplane.config import Config
from controlplane.db import Database
from controlplane.errors import Conflict, NotFound, TooLarge
from controlplane.fleet.selectors import EVERYTHING, Selector
from controlplane.ports import BlobStore, Clock, Staging
from controlplane.registry import domain
from controlplane.registry.domain import StoredModel, StoredRelease, Upload
from controlplane.registry.ports import Inspector
from controlplane.registry.repository import RegistryRepository
from protos import manifest as manifests
from protos.errors import Rejected, Retryable
from protos.ids import Digest, ModelName, Version, hex_of
from protos.manifest import Manifest, Measured


class Receiving:
    """One request's worth of an upload. `close` keeps what was written, finished or not."""

    def __init__(self, upload: Upload, staging: Staging, stack: ExitStack, service: RegistryService) -> None:
        self._upload = upload
        self._staging = staging
        self._stack = stack
        self._service = service

    def write(self, chunk: bytes) -> None:
        """Raises TooLarge when more comes than was announced, Retryable when the disk is full."""
        if self._staging.offset + len(chunk) > self._upload.size:
            raise TooLarge(f"more than the announced {self._upload.size} bytes came; start the upload again")
        self._staging.write(chunk)

    def finish(self) -> Upload:
        """Make the blob readable if all of it is there.

        Raises:
            Rejected: the hash is wrong; what came is thrown away.
            Retryable: the disk is full; what came stays, and an empty piece sent later tries again.
        """
        state = replace(self._upload, offset=self._staging.offset)
        if state.complete:
            try:
                self._staging.commit(state.digest)
            except Rejected:
                self._service.forget_upload(state.id)
                raise
            self._service.forget_upload(state.id)
        return state

    def close(self) -> None:
        self._stack.close()


class RegistryService:
    def __init__(
        self, database: Database, blobs: BlobStore, inspector: Inspector, clock: Clock, config: Config
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._inspector = inspector
        self._clock = clock
        self._cap = config.max_file_bytes
        self._keeping = threading.Lock()  # held to sweep, and to look for files or name them; never for long
        self._looking = threading.BoundedSemaphore(domain.LOOKING)

    # ---- files ----

    def blob_size(self, digest: Digest) -> int:
        """In bytes. Raises NotFound."""
        size = self._blobs.size(digest)
        if size is None:
            raise NotFound(f"there is no file {digest[:19]}…; push the release that names it")
        return size

    def read_blob(self, digest: Digest, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        return self._blobs.read(digest, start, stop)

    def begin_upload(self, digest: Digest, size: int) -> Upload:
        """A new upload, or the unfinished one of the same content; complete at once when the blob is here.

        Raises:
            TooLarge: with the cap, or with what to delete to make room.
        """
        domain.check_size(size, self._cap)
        with self._keeping:
            if self._blobs.size(digest) == size and self._blobs.refresh(digest):
                return Upload("", digest, size, size)
        with self._database.begin() as session:
            repository = RegistryRepository(session)
            upload = repository.upload_of(digest, size)
            if upload is None:
                domain.check_room(repository.room(), size)
                upload = Upload(secrets.token_hex(8), digest, size, 0)
                repository.add_upload(upload, self._now_ms())
        return replace(upload, offset=self._blobs.staged(upload.id))

    def upload(self, upload_id: str) -> Upload:
        """With its offset. Raises NotFound."""
        return replace(self._find_upload(upload_id), offset=self._blobs.staged(upload_id))

    def receive(self, upload_id: str, offset: int) -> Receiving:
        """Open an upload for writing from `offset`.

        Raises:
            NotFound: no such upload.
            Conflict: it stands elsewhere; ask where.
            Retryable: another request writes to it.
        """
        upload = self._find_upload(upload_id)
        with ExitStack() as stack:
            staging = stack.enter_context(self._blobs.stage(upload_id))
            if staging.offset != offset:
                raise Conflict(f"this upload stands at {staging.offset} of {upload.size} bytes; go on from there")
            return Receiving(upload, staging, stack.pop_all(), self)

    def forget_upload(self, upload_id: str) -> None:
        with self._database.begin() as session:
            RegistryRepository(session).delete_upload(upload_id)
        self._blobs.discard(upload_id)

    def _find_upload(self, upload_id: str) -> Upload:
        with self._database.read() as session:
            found = RegistryRepository(session).upload(upload_id)
        if found is None:
            raise NotFound("there is no such upload; it was finished or given up, so push again")
        return found

    # ---- releases ----

    def create_release(self, content: bytes) -> tuple[StoredRelease, bool]:
        """The release of these manifest bytes, and whether it is new.

        Raises:
            InvalidManifest, Rejected: what is wrong with it.
            Conflict: other content under the same version.
            Retryable: too many others are pushed right now.
        """
        digest = manifests.release_digest(content)
        with self._database.read() as session:
            stored = RegistryRepository(session).release_with(digest)
        if stored is not None:  # whatever today's rules would say of it
            return stored, False
        manifest = manifests.parse(content)
        manifests.check_counts(manifest)
        with self._database.read() as session:
            _same(RegistryRepository(session), manifest, digest)
        self._check_files(manifest)
        measured = self._look_into(manifest)
        return self._store_release(manifest, digest, content, measured)

    def _check_files(self, manifest: Manifest) -> None:
        with self._keeping:
            digests = {entry.digest for entry in manifest.files}
            sizes = {digest: self._blobs.size(digest) if self._blobs.refresh(digest) else None for digest in digests}
        domain.check_files(manifest, sizes, self._cap)

    def _look_into(self, manifest: Manifest) -> dict[str, Measured]:
        """What the gate measured here, by file: what the manifest says of it counts for nothing."""
        if not self._looking.acquire(blocking=False):
            raise Retryable("other releases are being looked into right now; push again in a moment", 2.0)
        try:
            return {
                path: self._inspector.inspect(path, partial(self._blobs.read, digest), manifest)
                for path, digest in domain.model_files(manifest).items()
            }
        finally:
            self._looking.release()

    def _store_release(
        self, manifest: Manifest, digest: Digest, content: bytes, measured: Mapping[str, Measured]
    ) -> tuple[StoredRelease, bool]:
        with self._keeping:
            self._keep_manifest(digest, content)
            with self._database.begin() as session:
                repository = RegistryRepository(session)
                stored = _same(repository, manifest, digest)
                if stored is not None:
                    return stored, False
                _check_room(repository, manifest)
                return repository.add_release(manifest, content, measured, self._now_ms()), True

    def _keep_manifest(self, digest: Digest, content: bytes) -> None:
        """Boxes fetch a manifest as they fetch any file: by digest."""
        if self._blobs.size(digest) is None:
            with self._blobs.stage(f"manifest-{hex_of(digest)}") as staging:
                staging.write(content[staging.offset :])
                staging.commit(digest)

    def release(self, name: str) -> StoredRelease:
        with self._database.read() as session:
            return _found(RegistryRepository(session).release(name), name)

    def release_of(self, model: ModelName, version: Version) -> StoredRelease | None:
        with self._database.read() as session:
            found = RegistryRepository(session).release_of(model, version)
        return found if found is not None and found.version == version else None

    def releases(self, wanted: Selector = EVERYTHING, limit: int | None = None, after: str = "") -> list[StoredRelease]:
        """Oldest first, from the first behind the place `after` on."""
        with self._database.read() as session:
            found = RegistryRepository(session).releases()
        chosen = [each for each in found if each.place > after and wanted.matches(each.labels)]
        return sorted(chosen, key=lambda each: each.place)[:limit]

    def delete_release(self, name: str) -> None:
        """Raises Conflict while a deployment asks for it, or it answers on a box.

        Its files go with a later sweep; its version stays taken.
        """
        with self._database.begin() as session:
            repository = RegistryRepository(session)
            release = _found(repository.release(name), name)
            domain.check_unused(release, repository.deployments_of(release), repository.boxes_with(release))
            repository.delete_release(release, self._now_ms())

    # ---- models ----

    def models(self, wanted: Selector = EVERYTHING, limit: int | None = None, after: str = "") -> list[StoredModel]:
        """By name, from the first after `after` on."""
        with self._database.read() as session:
            repository = RegistryRepository(session)
            rows = [row for row in repository.models() if row.name > after and wanted.matches(row.labels)]
            return [_model(row, repository) for row in sorted(rows, key=lambda row: row.name)[:limit]]

    def model(self, name: str) -> StoredModel:
        """With its releases, oldest first. Raises NotFound."""
        with self._database.read() as session:
            repository = RegistryRepository(session)
            row = repository.model(name)
            if row is None:
                raise NotFound(f"there is no model {name!r}; the first 'longshore push' of a release makes one")
            return _model(row, repository)

    def delete_model(self, name: str) -> None:
        """Raises Conflict while it has releases."""
        with self._database.begin() as session:
            repository = RegistryRepository(session)
            if repository.model(name) is None:
                raise NotFound(f"there is no model {name!r}; see 'longshore get models'")
            releases = repository.releases(name)
            if releases:
                raise Conflict(f"model {name} has release {releases[0].name}; delete its releases first")
            repository.delete_model(name)

    # ---- upkeep ----

    def sweep(self) -> None:
        """Throw away uploads of which nothing came for a day, and files a day old that no release names."""
        before = self._clock.unix() - domain.KEEP_SECONDS
        self._sweep_uploads(before)
        with self._keeping:
            self._sweep_files(before)

    def _sweep_uploads(self, before: float) -> None:
        """By the last byte that came, not the first: a large file over a thin line may take longer than a day."""
        with self._database.read() as session:
            begun = RegistryRepository(session).uploads_before(int(before * 1000))
        for upload_id in sorted({*begun, *self._blobs.stagings()}):
            if self._blobs.give_up(upload_id, before):
                with self._database.begin() as session:
                    RegistryRepository(session).delete_upload(upload_id)

    def _sweep_files(self, before: float) -> None:
        with self._database.read() as session:
            referenced = RegistryRepository(session).referenced()
        for digest, stored in self._blobs.stored():
            if digest not in referenced and stored < before:
                self._blobs.delete(digest)

    def _now_ms(self) -> int:
        return int(self._clock.unix() * 1000)


def _same(repository: RegistryRepository, manifest: Manifest, digest: Digest) -> StoredRelease | None:
    """The release, where somebody made it meanwhile. Raises Conflict when its version is or was something else."""
    stored = repository.release_of(manifest.name, manifest.version)
    if stored is not None:
        return domain.check_same(stored, digest, manifest.version)
    deleted = repository.deleted_digest(manifest.name, manifest.version)
    domain.check_deleted(deleted, digest, manifest.name, manifest.version)
    return None


def _check_room(repository: RegistryRepository, manifest: Manifest) -> None:
    """Files may have come in before others took the room. Raises TooLarge."""
    sizes = {entry.digest: entry.size for entry in manifest.files}
    there = repository.named(sizes)
    domain.check_room(replace(repository.room(), uploading=0), sum(sizes[each] for each in sizes.keys() - there))


def _found(release: StoredRelease | None, name: str) -> StoredRelease:
    if release is None:
        raise NotFound(f"there is no release {name!r}; see 'longshore get releases'")
    return release


def _model(row: tables.Model, repository: RegistryRepository) -> StoredModel:
    return StoredModel(
        name=row.name,
        uid=row.uid,
        created_ms=row.created_ms,
        generation=row.generation,
        resource_version=row.resource_version,
        labels=row.labels,
        releases=tuple(repository.releases(row.name)),
    )
