"""What a signer extends, proven first: from a root that lies beside his keys down to the documents of his role.

A control plane that was taken over could otherwise have a release key sign what it slipped in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import Targets

from controlplane.signing import metadata
from controlplane.signing.documents import Document, delegator
from protos import trust
from protos.errors import Rejected

Newer = Callable[[int], bytes | None]  # root by version; None: there is none yet


@dataclass(frozen=True)
class Trusted:
    """Who may sign a role."""

    keys: tuple[Key, ...]
    threshold: int

    def signers(self, role: str, held: Iterable[Signer]) -> list[Signer]:
        """Those of `held` that may. Raises Rejected where they are too few."""
        ids = {key.keyid for key in self.keys}
        found = {each.public_key.keyid: each for each in held if each.public_key.keyid in ids}
        if len(found) < self.threshold:
            raise Rejected(
                f"{role} wants signatures of {self.threshold} of its {len(ids)} keys, and {len(found)} of those given "
                "may sign: bring the others, by --key or in --offline ('longshore keys' shows which may)"
            )
        return list(found.values())


@dataclass(frozen=True)
class Chain:
    """Proven documents by role."""

    contents: Mapping[str, bytes]
    documents: Mapping[str, Document]

    def keys(self, role: str) -> list[Key]:
        """That may sign `role`."""
        above = metadata.parsed(delegator(role), self.contents[delegator(role)]).signed
        return [
            above.keys[each] if delegator(role) == trust.ROOT else above.delegations.keys[each]
            for each in sorted(above.get_delegated_role(role).keyids)
        ]

    def trusted(self, role: str) -> Trusted:
        return Trusted(tuple(self.keys(role)), self.documents[delegator(role)].delegated[role].threshold)

    def targets(self, role: str) -> Targets:
        found = metadata.parsed(role, self.contents[role]).signed
        assert isinstance(found, Targets)
        return found


def climbed(trusted: bytes, newer: Newer) -> bytes:
    """The newest root that `trusted` leads to, each signed by the one before and by itself. Raises Rejected."""
    version = metadata.read(trust.ROOT, trusted, trusted, trust.ROOT).version
    while (content := newer(version + 1)) is not None:
        version += 1
        seen = [metadata.read(trust.ROOT, content, by, trust.ROOT) for by in (trusted, content)]
        if not all(each.verified and each.version == version for each in seen):
            raise Rejected(
                f"{version}.root.json is not signed by the keys of the root before it; sign nothing, and ask why"
            )
        trusted = content
    return trusted


def proven(root: bytes, contents: Mapping[str, bytes]) -> Chain:
    """`contents`: targets, models and documents of models, by role. Raises Rejected for one that is not."""
    whole = {**contents, trust.ROOT: root}
    documents = {trust.ROOT: metadata.read(trust.ROOT, root, root, trust.ROOT)}
    for role in (trust.TARGETS, trust.MODELS, *sorted(role for role in contents if role.startswith("model-"))):
        above = delegator(role)
        documents[role] = metadata.read(role, whole[role], whole[above], above)
        if not documents[role].verified:
            raise Rejected(
                f"{role}.json of the control plane is not signed by the keys that {above}.json trusts; sign nothing, "
                "and ask why"
            )
    return Chain(whole, documents)


def after(found: Chain, made: Mapping[str, bytes]) -> Chain:
    """`found` with what was signed since. Raises Rejected, as `proven`."""
    contents = {**found.contents, **made}
    return proven(contents[trust.ROOT], {role: content for role, content in contents.items() if role != trust.ROOT})
