"""All SQL of signed metadata and proposals. Each method works inside the caller's transaction.

Who writes takes `lock` first and reads afterwards, so that there is one writer at a time: the first root's row stands
for all of it on PostgreSQL; SQLite runs one writer anyway. Roots are kept for ever, since boxes climb them.
"""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from controlplane import tables
from controlplane.signing.documents import Document, is_model
from controlplane.trust.judging import Registered
from protos import trust
from protos.ids import Digest, ModelName, Version
from protos.trust import Listing

PENDING = "pending"  # of a proposal that is not closed
KEEP_VERSIONS = 16
KEEP_MS = 600_000  # a box may be half-way through what was newest a moment ago


class TrustRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def lock(self) -> None:
        found = tables.SignedDocument
        query = select(found.version).where(found.role == trust.ROOT).order_by(found.version).limit(1)
        self._session.execute(query.with_for_update()).all()

    def newest(self) -> dict[str, bytes]:
        """Content of each role's newest version."""
        return {row.role: row.content for row in self.newest_rows()}

    def newest_rows(self) -> list[tables.SignedDocument]:
        found = tables.SignedDocument
        newest = select(found.role, func.max(found.version).label("version")).group_by(found.role).subquery()
        joined = (found.role == newest.c.role) & (found.version == newest.c.version)
        return list(self._session.scalars(select(found).join(newest, joined).order_by(found.role)))

    def version(self, role: str) -> int:
        """Of the newest; 0 when there is none."""
        found = tables.SignedDocument
        return self._session.scalar(select(func.max(found.version)).where(found.role == role)) or 0

    def content(self, role: str, version: int) -> bytes | None:
        row = self._session.get(tables.SignedDocument, (role, version))
        return row.content if row else None

    def add(self, document: Document, content: bytes, now_ms: int) -> None:
        """A new version; of a model, what it lists takes the place of what it listed."""
        row = tables.SignedDocument(role=document.role, version=document.version, content=content, created_ms=now_ms)
        self._session.add(row)
        if is_model(document.role):
            listing = tables.Listing
            model = document.role.removeprefix("model-")
            self._session.execute(delete(listing).where(listing.model == model))
            self._session.add_all(_row(each) for each in document.listings)
        self._session.flush()

    def prune(self, role: str, now_ms: int) -> None:
        """Forget what no client asks for any more."""
        if role == trust.ROOT:
            return
        found = tables.SignedDocument
        versions = select(found.version).where(found.role == role).order_by(found.version.desc()).limit(KEEP_VERSIONS)
        kept = list(self._session.scalars(versions))
        old = (found.role == role) & found.version.not_in(kept) & (found.created_ms < now_ms - KEEP_MS)
        self._session.execute(delete(found).where(old))

    def listings(self) -> dict[tuple[ModelName, Version], Listing]:
        return {(ModelName(row.model), Version(row.version)): _listing(row) for row in self._listing_rows()}

    def _listing_rows(self) -> list[tables.Listing]:
        return list(self._session.scalars(select(tables.Listing)))

    def releases(self) -> dict[tuple[ModelName, Version], Registered]:
        found = tables.Release
        columns = (found.model, found.version, found.digest, func.length(found.manifest), found.task)
        return {
            (ModelName(model), Version(version)): Registered(Digest(digest), size, task)
            for model, version, digest, size, task in self._session.execute(select(*columns))
        }


class ProposalRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def row(self, name: str) -> tables.Proposal | None:
        return self._session.get(tables.Proposal, name)

    def pending(self, now_ms: int) -> list[tables.Proposal]:
        found = tables.Proposal
        query = select(found).where(found.state == PENDING, found.expires_ms > now_ms)
        return list(self._session.scalars(query.order_by(found.created_ms, found.id)))

    def lapsed(self, now_ms: int) -> list[tables.Proposal]:
        found = tables.Proposal
        return list(self._session.scalars(select(found).where(found.state == PENDING, found.expires_ms <= now_ms)))

    def forget(self, before_ms: int) -> None:
        """What was closed before that moment."""
        found = tables.Proposal
        self._session.execute(delete(found).where(found.state != PENDING, found.closed_ms < before_ms))


def _row(item: Listing) -> tables.Listing:
    return tables.Listing(
        model=item.model,
        version=item.version,
        digest=item.digest,
        size=item.size,
        task=item.task,
        number=item.number,
        floor=item.floor,
        device_classes=list(item.device_classes),
        minimum_agent=item.minimum_agent,
        signed_ms=item.signed_ms,
        signed_by=item.signed_by,
    )


def _listing(row: tables.Listing) -> Listing:
    return Listing(
        model=ModelName(row.model),
        version=Version(row.version),
        digest=Digest(row.digest),
        size=row.size,
        number=row.number,
        task=row.task,
        floor=row.floor,
        device_classes=tuple(row.device_classes),
        minimum_agent=row.minimum_agent,
        signed_ms=row.signed_ms,
        signed_by=row.signed_by,
    )
