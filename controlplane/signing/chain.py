"""What a signer extends, proven first: from a root that lies beside his keys down to the documents of his role.

A control plane that was taken over could otherwise have a release key sign what it slipped in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from securesystemslib.signer import Key

from controlplane.signing import metadata
from controlplane.signing.documents import Document, delegator
from protos import trust
from protos.errors import Rejected

Newer = Callable[[int], bytes | None]  # root by version; None: there is none yet


@dataclass(frozen=True)
class Chain:
    """Proven documents by role."""

    contents: Mapping[str, bytes]
    documents: Mapping[str, Document]

    def keys(self, role: str) -> list[Key]:
        """That may sign `role`."""
        return list(metadata.trusted(role, self.contents[delegator(role)]).values())

    def threshold(self, role: str) -> int:
        return self.documents[delegator(role)].delegated[role].threshold


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
