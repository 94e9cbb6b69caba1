"""Use cases of identity: boxes join and renew, people sign in. One transaction each.

A token is spent in the transaction that stores its certificate: either both happen or neither. A box that lost the
answer asks again with the same key and gets another certificate for it. Joining again with a token that names the node
revokes the certificates it had, since its old keys may be in other hands: the control plane refuses them from its next
call on. A broker asks nobody, so there they work until they end.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from controlplane import tables
from controlplane.config import Config
from controlplane.db import Database
from controlplane.errors import Conflict, NotFound, Unauthenticated
from controlplane.fleet import selectors
from controlplane.identity import domain
from controlplane.identity.domain import StoredToken, Wish
from controlplane.identity.limiter import GuessLimiter
from controlplane.identity.repository import IdentityRepository
from controlplane.identity.roles import FIRST, Role
from controlplane.ports import Clock
from controlplane.trust.ports import Authority, Issued
from protos import tokens
from protos.errors import InvalidToken, Rejected
from protos.ids import NodeId
from protos.tokens import JoinToken

log = logging.getLogger(__name__)
MAX_TTL_SECONDS = 30 * 86_400
TOUCH_MS = 60_000  # `last used` is told to the minute; writing it at every call would cost a transaction each


@dataclass(frozen=True)
class User:
    """Whoever was let in. `name` is an API token's, or "browser"; `person` is None for a service's token."""

    name: str
    role: Role = Role.ADMIN
    person: str | None = FIRST

    @property
    def who(self) -> str:
        return self.person or self.name


@dataclass(frozen=True)
class Joined:
    node: NodeId
    role: str
    certificate: Issued


@dataclass(frozen=True)
class NewToken:
    """Shown once; only hashes are kept."""

    id: str
    text: str = field(repr=False)
    expires_ms: int | None = None


def new_api_token() -> str:
    """256 random bits behind a prefix that secret scanners know."""
    return domain.API_TOKEN_PREFIX + secrets.token_urlsafe(32)


class IdentityService:
    def __init__(self, database: Database, authority: Authority, clock: Clock, config: Config) -> None:
        self._database = database
        self._authority = authority
        self._clock = clock
        self._config = config
        self._limiter = GuessLimiter(clock)

    # ---- boxes ----

    def create_join_token(
        self, node: NodeId | None, labels: dict[str, str], role: str, ttl_seconds: int | None
    ) -> NewToken:
        """Raises Conflict where a box that joined could never report."""
        self._check_reachable()
        ttl = self._config.join_token_ttl_seconds if ttl_seconds is None else ttl_seconds
        if not 1 <= ttl <= MAX_TTL_SECONDS:
            raise Rejected(f"a join token lives from 1s to {MAX_TTL_SECONDS // 86_400 * 24}h; choose --ttl in between")
        token = JoinToken(self._authority.ca_pin, secrets.token_hex(6), secrets.token_urlsafe(32))
        now_ms = self._now_ms()
        stored = StoredToken(
            token.token_id,
            token.secret_hash,
            node,
            selectors.labels(labels, "labels"),
            domain.checked_role(role),
            now_ms + ttl * 1000,
        )
        with self._database.begin() as session:
            IdentityRepository(session).add_token(stored, now_ms)
        return NewToken(token.token_id, str(token), stored.expires_ms)

    def join_token(self, token_id: str) -> StoredToken:
        """Raises NotFound."""
        with self._database.read() as session:
            found = IdentityRepository(session).token(token_id)
        if found is None:
            raise NotFound(f"there is no join token {token_id!r}; see 'longshore token list'")
        return found

    def join_tokens(self) -> list[StoredToken]:
        with self._database.read() as session:
            return IdentityRepository(session).tokens()

    def delete_join_token(self, token_id: str) -> None:
        """Raises NotFound."""
        with self._database.begin() as session:
            if not IdentityRepository(session).delete_token(token_id):
                raise NotFound(f"there is no join token {token_id!r}; see 'longshore token list'")

    def enrol(self, token_text: str, csr_pem: str, wish: Wish, origin: str) -> Joined:
        """Let a box in.

        Raises:
            InvalidToken: which way the token is wrong, or what of the wish it does not allow.
            Conflict: a node of that name is there, and the token was not made for it.
            Rejected: a bad certificate request, name or label.
            Retryable: too many wrong guesses from `origin`.
        """
        with self._guessing(origin):
            token = tokens.parse(token_text)
            domain.check_pin(token, self._authority.ca_pin)
            return self._enrol(token, csr_pem, wish)

    def _enrol(self, token: JoinToken, csr_pem: str, wish: Wish) -> Joined:
        now_ms = self._now_ms()
        with self._database.begin() as session:
            repository = IdentityRepository(session)
            stored = domain.known(token, repository.token(token.token_id, lock=True))
            if stored.used_by is not None:
                return self._enrol_again(repository, stored, NodeId(stored.used_by), csr_pem)
            domain.check_usable(stored, now_ms, same_box=False)
            admission = domain.admit(stored, wish, fallback=f"box-{token.token_id}")
            if repository.node_exists(admission.node) and not admission.rejoin:
                raise Conflict(
                    f"there is a node {admission.node} already; choose another --node-id, or let it join again with "
                    f"'longshore token create {admission.node}'"
                )
            issued = self._sign(csr_pem, admission.node)
            repository.admit_node(admission, now_ms)
            repository.revoke_certificates(admission.node, now_ms)
            repository.add_certificate(admission.node, issued, now_ms)
            repository.spend_token(stored.id, admission.node, now_ms)
        return Joined(admission.node, stored.role, issued)

    def _enrol_again(self, repository: IdentityRepository, stored: StoredToken, node: NodeId, csr_pem: str) -> Joined:
        """Only while what the key got the first time is good: a revoked box does not come back this way."""
        now_ms = self._now_ms()
        issued = self._sign(csr_pem, node)
        domain.check_usable(stored, now_ms, same_box=repository.has_key(node, issued.public_key))
        repository.add_certificate(node, issued, now_ms)
        return Joined(node, stored.role, issued)

    def device(self, certificate_pem: bytes) -> NodeId:
        """Which node presented this certificate over mutual TLS. Raises Unauthenticated, also after revocation."""
        fingerprint = domain.fingerprint(certificate_pem)
        with self._database.read() as session:
            found = IdentityRepository(session).certificate(fingerprint)
        if found is None:
            raise Unauthenticated(f"this box's certificate is no longer accepted; {domain.JOIN_AGAIN}")
        return found.node

    def speaker(self, certificate_pem: bytes, spoken: bytes, signature: bytes) -> NodeId:
        """Which node signed this. Its certificate may have expired, as at a site without a network it will.

        Raises:
            Unauthenticated: no signature of a certificate that is known here and was not revoked.
        """
        fingerprint = self._authority.speaker(certificate_pem, spoken, signature)
        with self._database.read() as session:
            found = IdentityRepository(session).certificate(fingerprint)
        if found is None:
            raise Unauthenticated(f"the certificate that signed this is not accepted here; {domain.JOIN_AGAIN}")
        return found.node

    def renew(self, node: NodeId, csr_pem: str) -> Issued:
        """A certificate for a fresh key of a box that showed a good one. The old one works until it expires.

        Raises:
            NotFound: the box was deleted.
            Rejected: the request cannot be signed.
        """
        issued = self._sign(csr_pem, node)
        with self._database.begin() as session:
            repository = IdentityRepository(session)
            if not repository.node_exists(node):
                raise NotFound(f"node {node} was deleted; {domain.JOIN_AGAIN}")
            repository.add_certificate(node, issued, self._now_ms())
        return issued

    def renew_late(self, certificate_pem: str, csr_pem: str, proof: bytes, origin: str) -> Issued:
        """The one thing an expired certificate is good for: a box that was away for weeks renews it.

        Args:
            proof: by the certificate's key over the request; see controlplane.trust.ports.Authority.proven.

        Raises:
            Unauthenticated: no proof, or the certificate is unknown, revoked or over for too long.
            Forbidden: switched off here.
            Rejected: a bad certificate request.
            Retryable: too many wrong tries from `origin`.
        """
        with self._guessing(origin):
            fingerprint = self._authority.proven(certificate_pem, csr_pem, proof)
            now_ms = self._now_ms()
            with self._database.begin() as session:
                repository = IdentityRepository(session)
                known = repository.certificate(fingerprint)
                old = domain.check_late(known, now_ms, self._config.late_renewal_days)
                issued = self._sign(csr_pem, old.node)
                repository.add_certificate(old.node, issued, now_ms)
        days = (now_ms - old.not_after_ms) / domain.DAY_MS
        log.warning("node %s, from %s, renewed its certificate %.1f days after it expired", old.node, origin, days)
        return issued

    def sweep(self) -> None:
        """Forget what is over and was kept long enough to tell about it. Raises Retryable."""
        now_ms = self._now_ms()
        late_ms = (self._config.late_renewal_days + 1) * domain.DAY_MS
        with self._database.begin() as session:
            repository = IdentityRepository(session)
            repository.sweep(now_ms)
            repository.forget_boxes(now_ms - domain.KEEP_TOKENS_MS, now_ms - late_ms)

    @property
    def ca_pem(self) -> str:
        return self._authority.ca_pem

    def _sign(self, csr_pem: str, node: NodeId) -> Issued:
        return self._authority.sign_device(csr_pem, node, self._clock.unix(), self._config.certificate_days)

    @contextmanager
    def _guessing(self, origin: str) -> Iterator[None]:
        """Counts what is wrong inside. Raises Retryable when too much of it came from `origin`."""
        self._limiter.admit(origin)
        try:
            yield
        except (InvalidToken, Unauthenticated):
            self._limiter.wrong(origin)
            raise

    def _check_reachable(self) -> None:
        problem = domain.broker_problem(self._config)
        if problem:
            raise Conflict(problem)

    # ---- people ----

    def create_api_token(
        self, name: str, ttl_seconds: int | None = None, *, person: str | None = FIRST, role: Role = Role.ADMIN
    ) -> NewToken:
        """Of `person`, with whatever role that person has; or of a service (None), with `role`. Raises NotFound."""
        text = new_api_token()
        now_ms = self._now_ms()
        expires_ms = None if ttl_seconds is None else now_ms + ttl_seconds * 1000
        return self._store_api_token(_Owned(name, person, role), text, now_ms, expires_ms)

    def ensure_api_token(self, name: str, text: str) -> bool:
        """Make `text` work as an API token, whatever the database has lost. False: it was deleted, and stays dead."""
        with self._database.read() as session:
            known = IdentityRepository(session).api_token(domain.hashed(text))
        if known is None:
            self._store_api_token(_Owned(name, FIRST, Role.ADMIN), text, self._now_ms(), None)
        return known is None or known.revoked_ms is None

    def _store_api_token(self, owned: _Owned, text: str, now_ms: int, expires_ms: int | None) -> NewToken:
        row = tables.ApiToken(
            id=secrets.token_hex(6),
            name=owned.name,
            person=owned.person,
            role=owned.role.value,
            secret_hash=domain.hashed(text),
            created_ms=now_ms,
            expires_ms=expires_ms,
        )
        with self._database.begin() as session:
            repository = IdentityRepository(session)
            if owned.person is not None:
                _role_of(repository, owned.person)
            repository.add_api_token(row)
        return NewToken(row.id, text, expires_ms)

    def api_tokens(self) -> list[tables.ApiToken]:
        with self._database.read() as session:
            return IdentityRepository(session).api_tokens()

    def delete_api_token(self, token_id: str) -> None:
        """It works no more and is shown no more; that it was is remembered, so that no file brings it back.

        Raises NotFound.
        """
        with self._database.begin() as session:
            if not IdentityRepository(session).revoke_api_token(token_id, self._now_ms()):
                raise NotFound(f"there is no API token {token_id!r}; see 'longshore apitoken list'")

    def user_of_bearer(self, bearer: str) -> User:
        """Raises Unauthenticated."""
        now_ms = self._now_ms()
        with self._database.read() as session:
            repository = IdentityRepository(session)
            row = repository.api_token(domain.hashed(bearer))
            role = _token_role(repository, row) if row else None
        if (
            row is None
            or role is None
            or row.revoked_ms is not None
            or (row.expires_ms is not None and row.expires_ms <= now_ms)
        ):
            raise Unauthenticated(
                "this API token is not known or has expired; use the one in admin.token of the control plane's state "
                "folder, or make a new one there with 'longshore apitoken create'"
            )
        if row.last_used_ms is None or row.last_used_ms + TOUCH_MS <= now_ms:
            with self._database.begin() as session:
                IdentityRepository(session).touch_api_token(row.id, now_ms)
        return User(row.name, role, row.person)

    def create_sign_in_code(self, person: str = FIRST) -> NewToken:
        """A code that signs one browser in, once, as `person`. Raises NotFound."""
        code = secrets.token_urlsafe(32)
        expires_ms = self._now_ms() + domain.CODE_SECONDS * 1000
        with self._database.begin() as session:
            repository = IdentityRepository(session)
            _role_of(repository, person)
            repository.add_code(domain.hashed(code), person, expires_ms)
        return NewToken("", code, expires_ms)

    def sign_in(self, code: str, origin: str, browser: str = "") -> NewToken:
        """Spend the code for a session. `browser`: as it calls itself.

        Raises:
            Unauthenticated: spent, expired or never given.
            Retryable: too many wrong guesses from `origin`.
        """
        now_ms = self._now_ms()
        session_secret = secrets.token_urlsafe(32)
        expires_ms = now_ms + domain.SESSION_SECONDS * 1000
        with self._guessing(origin), self._database.begin() as session:
            repository = IdentityRepository(session)
            person = repository.spend_code(domain.hashed(code), now_ms)
            if person is None:
                raise Unauthenticated("this sign-in link was used or has expired; make one with 'longshore open'")
            repository.add_session(
                tables.Session(
                    hash=domain.hashed(session_secret),
                    id=secrets.token_hex(6),
                    person=person,
                    browser=browser[:120],
                    last_used_ms=now_ms,
                    created_ms=now_ms,
                    expires_ms=expires_ms,
                )
            )
            repository.sweep(now_ms)
        return NewToken("", session_secret, expires_ms)

    def user_of_session(self, session_secret: str) -> User:
        """Raises Unauthenticated."""
        now_ms, hashed = self._now_ms(), domain.hashed(session_secret)
        with self._database.read() as session:
            repository = IdentityRepository(session)
            row = repository.good_session(hashed, now_ms)
            role = _role(repository, row.person) if row else None
        if row is None or role is None:
            raise Unauthenticated("you are signed out; open a new link from 'longshore open'")
        if row.last_used_ms is None or row.last_used_ms + TOUCH_MS <= now_ms:
            with self._database.begin() as session:
                IdentityRepository(session).touch_session(hashed, now_ms)
        return User("browser", role, row.person)

    def sign_out(self, session_secret: str) -> None:
        with self._database.begin() as session:
            IdentityRepository(session).delete_session(domain.hashed(session_secret))

    def _now_ms(self) -> int:
        return int(self._clock.unix() * 1000)


@dataclass(frozen=True)
class _Owned:
    """An API token's name and whose it is; `role` counts for a service's."""

    name: str
    person: str | None
    role: Role


def _token_role(repository: IdentityRepository, row: tables.ApiToken) -> Role | None:
    return Role(row.role) if row.person is None else _role(repository, row.person)


def _role(repository: IdentityRepository, person: str) -> Role | None:
    """None: there is nobody of that name any more."""
    found = Role.ADMIN if person == FIRST else repository.role_of(person)
    return None if found is None else Role(found)


def _role_of(repository: IdentityRepository, person: str) -> Role:
    """Raises NotFound."""
    role = _role(repository, person)
    if role is None:
        raise NotFound(f"there is no person {person!r}; see 'longshore get people'")
    return role
