"""How a repository begins: root and targets, signed by keys that then go offline, and an empty `models`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from securesystemslib.signer import CryptoSigner, Key, Signer
from tuf.api.metadata import Role, Root, Targets

from controlplane.signing import metadata
from controlplane.signing.documents import next_version
from protos import trust


@dataclass(frozen=True)
class FirstKeys:
    """Of the embedded default: one of each."""

    root: CryptoSigner
    targets: CryptoSigner
    release: CryptoSigner
    online: CryptoSigner


def begun(keys: FirstKeys, now: int) -> dict[str, bytes]:
    """Root, targets and models by role. What is signed online, the control plane makes of them at once."""
    trusted = {
        trust.ROOT: [keys.root.public_key],
        trust.TARGETS: [keys.targets.public_key],
        trust.SNAPSHOT: [keys.online.public_key],
        trust.TIMESTAMP: [keys.online.public_key],
    }
    below: Mapping[str, tuple[list[Key], int]] = {
        trust.MODELS: ([keys.release.public_key], 1),
        trust.ASSIGN: ([keys.online.public_key], 1),
    }
    first = root(1, {role: (found, 1) for role, found in trusted.items()}, now)
    return {
        trust.ROOT: metadata.signed(first, [keys.root]),
        trust.TARGETS: targets(below, 0, [keys.targets], now),
        trust.MODELS: models([keys.release.public_key], 1, (), 0, [keys.release], now),
    }


def root(version: int, trusted: Mapping[str, tuple[Sequence[Key], int]], now: int) -> Root:
    """role → its keys and how many of them must sign."""
    return Root(
        version=version,
        expires=metadata.expiry(trust.ROOT, now),
        keys={key.keyid: key for keys, _ in trusted.values() for key in keys},
        roles={role: Role(sorted(key.keyid for key in keys), threshold) for role, (keys, threshold) in trusted.items()},
        consistent_snapshot=True,
    )


def targets(below: Mapping[str, tuple[Sequence[Key], int]], last: int, signers: Sequence[Signer], now: int) -> bytes:
    """What names who may sign `models` and `assign`, and nothing else."""
    document = Targets(
        version=next_version(trust.TARGETS, last, now),
        expires=metadata.expiry(trust.TARGETS, now),
        delegations=metadata.delegations(below),
    )
    return metadata.signed(document, signers)


def models(
    keys: Sequence[Key], threshold: int, roles: Sequence[str], last: int, signers: Sequence[Signer], now: int
) -> bytes:
    """What names who may sign each model: the release keys, all of them."""
    document = Targets(
        version=next_version(trust.MODELS, last, now),
        expires=metadata.expiry(trust.MODELS, now),
        delegations=metadata.delegations(dict.fromkeys(sorted(roles), (keys, threshold))),
    )
    return metadata.signed(document, signers)
