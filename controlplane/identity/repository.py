"""All SQL of identity. Each method works inside the caller's transaction."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import Select, delete, or_, select, update
from sqlalchemy.orm import Session

from controlplane import tables
from controlplane.identity.domain import Admission, StoredCertificate, StoredToken
from controlplane.trust.ports import Issued
from protos.ids import NodeId


class IdentityRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    # ---- join tokens ----

    def add_token(self, token: StoredToken, created_ms: int) -> None:
        self._session.add(
            tables.JoinToken(
                id=token.id,
                secret_hash=token.secret_hash,
                node_id=token.node,
                labels=dict(token.labels),
                role=token.role,
                created_ms=created_ms,
                expires_ms=token.expires_ms,
            )
        )

    def token(self, token_id: str, *, lock: bool = False) -> StoredToken | None:
        """`lock`: nobody else may spend it until the transaction ends."""
        query = select(tables.JoinToken).where(tables.JoinToken.id == token_id)
        row = self._session.scalar(query.with_for_update() if lock else query)
        return _stored(row) if row else None

    def tokens(self) -> list[StoredToken]:
        rows = self._session.scalars(select(tables.JoinToken).order_by(tables.JoinToken.created_ms.desc()))
        return [_stored(row) for row in rows]

    def spend_token(self, token_id: str, node: NodeId, now_ms: int) -> None:
        self._session.execute(
            update(tables.JoinToken).where(tables.JoinToken.id == token_id).values(used_ms=now_ms, used_by=node)
        )

    def delete_token(self, token_id: str) -> bool:
        done = self._session.execute(
            delete(tables.JoinToken).where(tables.JoinToken.id == token_id).returning(tables.JoinToken.id)
        )
        return done.first() is not None

    # ---- nodes and their certificates ----

    def node_exists(self, node: NodeId) -> bool:
        row = self._session.get(tables.Node, node)
        return row is not None and row.deleted_ms is None

    def admit_node(self, admission: Admission, now_ms: int) -> None:
        """Make the node, or take an old one back with the token's labels and role; a deleted one begins anew."""
        row = self._session.get(tables.Node, admission.node)
        if row is None:
            row = tables.Node(id=admission.node, created_ms=now_ms, role=admission.role, labels=admission.labels)
            self._session.add(row)
            self._session.flush()
            return
        if row.deleted_ms is not None:
            row.uid, row.created_ms, row.generation, row.labels = str(uuid4()), now_ms, 1, {}
        row.labels = {**row.labels, **admission.labels}
        row.role = admission.role
        row.deleted_ms = None
        row.resource_version += 1

    def add_certificate(self, node: NodeId, issued: Issued, now_ms: int) -> None:
        self._session.add(
            tables.Certificate(
                serial=issued.serial,
                node_id=node,
                fingerprint=issued.fingerprint,
                public_key=issued.public_key,
                created_ms=now_ms,
                not_after_ms=issued.not_after_ms,
            )
        )

    def revoke_certificates(self, node: NodeId, now_ms: int) -> None:
        self._session.execute(
            update(tables.Certificate)
            .where(tables.Certificate.node_id == node, tables.Certificate.revoked_ms.is_(None))
            .values(revoked_ms=now_ms)
        )

    def certificate(self, fingerprint: str) -> StoredCertificate | None:
        row = self._session.scalar(_good_certificates().where(tables.Certificate.fingerprint == fingerprint))
        return StoredCertificate(NodeId(row.node_id), row.not_after_ms) if row else None

    def has_key(self, node: NodeId, public_key: str) -> bool:
        """Whether a good certificate of the node is for this key."""
        query = _good_certificates().where(
            tables.Certificate.node_id == node, tables.Certificate.public_key == public_key
        )
        return self._session.scalar(query.limit(1)) is not None

    # ---- people ----

    def add_api_token(self, row: tables.ApiToken) -> None:
        self._session.add(row)

    def api_token(self, secret_hash: str) -> tables.ApiToken | None:
        return self._session.scalar(select(tables.ApiToken).where(tables.ApiToken.secret_hash == secret_hash))

    def api_tokens(self) -> list[tables.ApiToken]:
        """Those that were not revoked."""
        query = select(tables.ApiToken).where(tables.ApiToken.revoked_ms.is_(None))
        return list(self._session.scalars(query.order_by(tables.ApiToken.created_ms)))

    def revoke_api_token(self, token_id: str, now_ms: int) -> bool:
        done = self._session.execute(
            update(tables.ApiToken)
            .where(tables.ApiToken.id == token_id, tables.ApiToken.revoked_ms.is_(None))
            .values(revoked_ms=now_ms)
            .returning(tables.ApiToken.id)
        )
        return done.first() is not None

    def touch_api_token(self, token_id: str, now_ms: int) -> None:
        self._session.execute(update(tables.ApiToken).where(tables.ApiToken.id == token_id).values(last_used_ms=now_ms))

    def add_code(self, code_hash: str, person: str, expires_ms: int) -> None:
        self._session.add(tables.SignInCode(hash=code_hash, person=person, expires_ms=expires_ms))

    def spend_code(self, code_hash: str, now_ms: int) -> str | None:
        """Whose it is, if it was good; in one statement, so that two at once cannot both be let in."""
        codes = tables.SignInCode
        done = self._session.execute(
            update(codes)
            .where(codes.hash == code_hash, codes.used_ms.is_(None), codes.expires_ms > now_ms)
            .values(used_ms=now_ms)
            .returning(codes.person)
        )
        return done.scalar()

    def add_session(self, row: tables.Session) -> None:
        self._session.add(row)

    def good_session(self, session_hash: str, now_ms: int) -> tables.Session | None:
        row = self._session.get(tables.Session, session_hash)
        return row if row is not None and row.expires_ms > now_ms else None

    def touch_session(self, session_hash: str, now_ms: int) -> None:
        found = tables.Session
        self._session.execute(update(found).where(found.hash == session_hash).values(last_used_ms=now_ms))

    def role_of(self, person: str) -> str | None:
        return self._session.scalar(select(tables.Person.role).where(tables.Person.name == person))

    def delete_session(self, session_hash: str) -> None:
        self._session.execute(delete(tables.Session).where(tables.Session.hash == session_hash))

    def sweep(self, now_ms: int) -> None:
        """Forget codes and sessions that are over."""
        codes = tables.SignInCode
        self._session.execute(delete(codes).where(or_(codes.expires_ms <= now_ms, codes.used_ms.is_not(None))))
        self._session.execute(delete(tables.Session).where(tables.Session.expires_ms <= now_ms))

    def forget_boxes(self, tokens_before_ms: int, certificates_before_ms: int) -> None:
        """Forget join tokens and certificates that expired before."""
        token, certificate = tables.JoinToken, tables.Certificate
        self._session.execute(delete(token).where(token.expires_ms < tokens_before_ms))
        self._session.execute(delete(certificate).where(certificate.not_after_ms < certificates_before_ms))


def _good_certificates() -> Select[tables.Certificate]:
    """Not revoked, of nodes that are there."""
    query = select(tables.Certificate).join(tables.Node, tables.Node.id == tables.Certificate.node_id)
    return query.where(tables.Certificate.revoked_ms.is_(None), tables.Node.deleted_ms.is_(None))


def _stored(row: tables.JoinToken) -> StoredToken:
    return StoredToken(
        id=row.id,
        secret_hash=row.secret_hash,
        node=NodeId(row.node_id) if row.node_id else None,
        labels=row.labels,
        role=row.role,
        expires_ms=row.expires_ms,
        used_ms=row.used_ms,
        used_by=row.used_by,
    )
