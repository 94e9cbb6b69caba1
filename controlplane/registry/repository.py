"""All SQL of the registry. Each method works inside the caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Select, delete, func, select, union
from sqlalchemy.orm import Session

from controlplane import tables
from controlplane.registry.domain import Named, Room, StoredFile, StoredRelease, Upload
from controlplane.settings.repository import SettingsRepository
from protos.ids import Digest, ModelName, Version, release_name
from protos.manifest import Manifest, Measured, release_digest


class RegistryRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    # ---- uploads ----

    def add_upload(self, upload: Upload, now_ms: int) -> None:
        self._session.add(tables.Upload(id=upload.id, digest=upload.digest, size=upload.size, created_ms=now_ms))

    def upload(self, upload_id: str) -> Upload | None:
        row = self._session.get(tables.Upload, upload_id)
        return _upload(row) if row else None

    def upload_of(self, digest: Digest, size: int) -> Upload | None:
        """An unfinished one of the same content, to be resumed."""
        query = select(tables.Upload).where(tables.Upload.digest == digest, tables.Upload.size == size)
        row = self._session.scalars(query.order_by(tables.Upload.created_ms.desc())).first()
        return _upload(row) if row else None

    def uploads_before(self, created_ms: int) -> list[str]:
        return list(self._session.scalars(select(tables.Upload.id).where(tables.Upload.created_ms < created_ms)))

    def delete_upload(self, upload_id: str) -> None:
        self._session.execute(delete(tables.Upload).where(tables.Upload.id == upload_id))

    # ---- releases ----

    def release_of(self, model: ModelName, version: Version) -> StoredRelease | None:
        """The one of that version, or the one that took its name."""
        return self.release(release_name(model, version))

    def release_with(self, digest: Digest) -> StoredRelease | None:
        row = self._session.scalars(select(tables.Release).where(tables.Release.digest == digest)).one_or_none()
        return self._release(row) if row else None

    def deleted_digest(self, model: ModelName, version: Version) -> Digest | None:
        """What a deleted version was."""
        row = self._session.get(tables.DeletedRelease, (model, version))
        return Digest(row.digest) if row else None

    def release(self, name: str) -> StoredRelease | None:
        row = self._session.get(tables.Release, name)
        return self._release(row) if row else None

    def releases(self, model: str | None = None) -> list[StoredRelease]:
        query = select(tables.Release).order_by(tables.Release.created_ms, tables.Release.name)
        if model is not None:
            query = query.where(tables.Release.model == model)
        rows = self._session.scalars(query).all()
        files = self._files(query.with_only_columns(tables.Release.name).order_by(None))
        return [_release(row, files[row.name]) for row in rows]

    def add_release(
        self, manifest: Manifest, content: bytes, measured: Mapping[str, Measured], now_ms: int
    ) -> StoredRelease:
        """Of the manifest's own bytes; the model is made with its first release."""
        if self._session.get(tables.Model, manifest.name) is None:
            self._session.add(tables.Model(name=manifest.name, created_ms=now_ms))
            self._session.flush()
        row = tables.Release(
            name=release_name(manifest.name, manifest.version),
            model=manifest.name,
            version=manifest.version,
            digest=release_digest(content),
            manifest=content,
            task=manifest.task,
            measured={path: [each.peak_bytes, each.microseconds] for path, each in measured.items()},
            created_ms=now_ms,
        )
        self._session.add(row)
        self._session.flush()
        self._session.add_all(
            tables.ReleaseFile(release=row.name, path=entry.path, digest=entry.digest, size=entry.size, role=entry.role)
            for entry in manifest.files
        )
        self._session.flush()
        return self._release(row)

    def delete_release(self, release: StoredRelease, now_ms: int) -> None:
        """What its version was stays known."""
        self._session.execute(delete(tables.ReleaseFile).where(tables.ReleaseFile.release == release.name))
        self._session.execute(delete(tables.Release).where(tables.Release.name == release.name))
        gone = tables.DeletedRelease(
            model=release.model, version=release.version, digest=release.digest, deleted_ms=now_ms
        )
        self._session.merge(gone)

    def deployments_of(self, release: StoredRelease) -> list[str]:
        """Names of deployments that ask for it."""
        rows = self._session.execute(select(tables.Deployment.name, tables.Deployment.spec))
        wanted = (release.model, release.version)
        return sorted(name for name, spec in rows if (spec.get("model"), spec.get("version")) == wanted)

    def boxes_with(self, release: StoredRelease) -> list[str]:
        """Names of boxes on which it answers, by their last report."""
        rows = self._session.execute(
            select(tables.Node.id, tables.Node.report).where(tables.Node.deleted_ms.is_(None)).order_by(tables.Node.id)
        )
        return [
            name
            for name, report in rows
            if any(item.get("active_digest") == release.digest for item in report.get("deployments", ()))
        ]

    def room(self) -> Room:
        """How full the registry is: files that releases name, and uploads under way."""
        files = tables.ReleaseFile
        rows = self._session.execute(select(files.release, files.digest, files.size))
        named = [Named(release, Digest(digest), size) for release, digest, size in rows]
        uploads = self._session.scalar(select(func.coalesce(func.sum(tables.Upload.size), 0)))
        room = Room(SettingsRepository(self._session).spec().registry_quota, named, int(uploads or 0))
        if not room.crowded:
            return room
        idle = [each.name for each in self.releases() if not self.deployments_of(each) and not self.boxes_with(each)]
        return replace(room, idle=tuple(idle))

    def named(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of these files that some release names."""
        found = select(tables.ReleaseFile.digest).where(tables.ReleaseFile.digest.in_(sorted(digests)))
        return {Digest(value) for value in self._session.scalars(found)}

    def referenced(self) -> set[Digest]:
        """Every blob that a release needs, its manifest included."""
        digests = union(select(tables.ReleaseFile.digest), select(tables.Release.digest))
        return {Digest(value) for value in self._session.scalars(digests)}

    # ---- models ----

    def models(self) -> Sequence[tables.Model]:
        return self._session.scalars(select(tables.Model).order_by(tables.Model.name)).all()

    def model(self, name: str) -> tables.Model | None:
        return self._session.get(tables.Model, name)

    def delete_model(self, name: str) -> None:
        self._session.execute(delete(tables.Model).where(tables.Model.name == name))

    def _release(self, row: tables.Release) -> StoredRelease:
        return _release(row, self._files(select(tables.Release.name).where(tables.Release.name == row.name))[row.name])

    def _files(self, releases: Select[str]) -> dict[str, list[StoredFile]]:
        """Of these releases, in one query, each by path."""
        query = select(tables.ReleaseFile).where(tables.ReleaseFile.release.in_(releases))
        found: defaultdict[str, list[StoredFile]] = defaultdict(list)
        for row in self._session.scalars(query.order_by(tables.ReleaseFile.path)):
            found[row.release].append(StoredFile(row.path, Digest(row.digest), row.size, row.role))
        return found


def _release(row: tables.Release, files: list[StoredFile]) -> StoredRelease:
    return StoredRelease(
        name=row.name,
        model=ModelName(row.model),
        version=Version(row.version),
        digest=Digest(row.digest),
        task=row.task,
        files=tuple(files),
        manifest=row.manifest,
        uid=row.uid,
        labels=row.labels,
        annotations=row.annotations,
        created_ms=row.created_ms,
        measured={path: Measured(*figures) for path, figures in row.measured.items()},
    )


def _upload(row: tables.Upload) -> Upload:
    return Upload(row.id, Digest(row.digest), row.size, 0)
