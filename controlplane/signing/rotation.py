"""Other keys or thresholds in one step: root N+1, signed by the old and the new keys, and all that hangs on the change.

Root is made anew when one of its four roles changes, targets when its own keys, `assign` or the release keys do, and
what is listed when the release keys do. `release` stands for `models` and every model below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controlplane.signing import ceremony, counting, metadata
from controlplane.signing.chain import Chain
from controlplane.signing.documents import RELEASE, is_model
from controlplane.signing.keys import Key, Signer
from controlplane.signing.listing import signed_again
from protos import trust
from protos.errors import Rejected

IN_ROOT = (trust.ROOT, trust.TARGETS, trust.SNAPSHOT, trust.TIMESTAMP)
BELOW_TARGETS = (trust.MODELS, trust.ASSIGN)
ROLES = (*IN_ROOT, trust.ASSIGN, RELEASE)


@dataclass(frozen=True)
class Trusted:
    """Who may sign a role from now on."""

    keys: tuple[Key, ...]
    threshold: int

    def signers(self, held: Iterable[Signer]) -> list[Signer]:
        """Those of `held` that may."""
        ids = {key.keyid for key in self.keys}
        return list({each.public_key.keyid: each for each in held if each.public_key.keyid in ids}.values())


def rotated(
    chain: Chain, changes: Mapping[str, Trusted], held: Sequence[Signer], now: int, *, renew: bool = False
) -> dict[str, bytes]:
    """New documents by role, signed by those of `held` that may: signers of all kinds, old and new. Whether they are
    enough, `counting` tells. `renew`: root and targets, changed or not.

    Raises:
        Rejected: a threshold that cannot be met.
    """
    wanted = {trust.MODELS if role == RELEASE else role: trusted for role, trusted in changes.items()}
    for role, trusted in wanted.items():
        if not 1 <= trusted.threshold <= len({key.keyid for key in trusted.keys}):
            raise Rejected(f"{role} has {len(trusted.keys)} keys, so its threshold must be from 1 to that")
    made = {}
    if renew or wanted.keys() & set(IN_ROOT):
        made[trust.ROOT] = _root(chain, wanted, held, now)
    if renew or wanted.keys() & {trust.TARGETS, *BELOW_TARGETS}:
        made[trust.TARGETS] = _targets(chain, wanted, held, now)
    if trust.MODELS in wanted:
        made |= _listed(chain, wanted[trust.MODELS], held, now)
    return made


def check_whole(chain: Chain, made: Mapping[str, bytes]) -> None:
    """Raises Rejected where signatures are missing."""
    for each in counting.needs(chain.contents, made):
        if each.missing:
            raise Rejected(
                f"{each.role} wants {each.threshold} signatures of its {len(each.keys)} keys, and {len(each.signed)} "
                "of them are here; bring the others, or let their holders sign: 'longshore keys propose'"
            )


def trusted(chain: Chain, role: str) -> Trusted:
    """Who may sign `role` now."""
    return Trusted(tuple(chain.keys(role)), chain.threshold(role))


def _after(chain: Chain, wanted: Mapping[str, Trusted], role: str) -> Trusted:
    return wanted.get(role) or trusted(chain, role)


def _root(chain: Chain, wanted: Mapping[str, Trusted], held: Sequence[Signer], now: int) -> bytes:
    after = {role: _after(chain, wanted, role) for role in IN_ROOT}
    document = ceremony.root(
        chain.documents[trust.ROOT].version + 1,
        {role: (each.keys, each.threshold) for role, each in after.items()},
        now,
    )
    signers = [*trusted(chain, trust.ROOT).signers(held), *after[trust.ROOT].signers(held)]
    return metadata.signed(document, {each.public_key.keyid: each for each in signers}.values())


def _targets(chain: Chain, wanted: Mapping[str, Trusted], held: Sequence[Signer], now: int) -> bytes:
    below = {role: _after(chain, wanted, role) for role in BELOW_TARGETS}
    signers = _after(chain, wanted, trust.TARGETS).signers(held)
    last = chain.documents[trust.TARGETS].version
    return ceremony.targets({role: (each.keys, each.threshold) for role, each in below.items()}, last, signers, now)


def _listed(chain: Chain, after: Trusted, held: Sequence[Signer], now: int) -> dict[str, bytes]:
    signers, before = after.signers(held), chain.documents[trust.MODELS]
    made = {role: signed_again(found, signers, now) for role, found in chain.documents.items() if is_model(role)}
    made[trust.MODELS] = ceremony.models(
        after.keys, after.threshold, sorted(before.delegated), before.version, signers, now
    )
    return made
