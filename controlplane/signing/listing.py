"""Releases listed and withdrawn, by release keys: new documents of the models concerned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tuf.api.metadata import Targets

from controlplane.signing import ceremony, metadata
from controlplane.signing.chain import Chain
from controlplane.signing.documents import LAST_NUMBER, Document, is_model, next_version
from controlplane.signing.keys import Signer
from protos import trust
from protos.errors import Rejected
from protos.ids import ModelName, Version
from protos.trust import Listing


@dataclass
class _Model:
    """What one model lists afterwards, by path, and the highest number and floor that it ever gave."""

    listings: dict[str, Listing]
    last_number: int
    floor: int
    version: int

    @classmethod
    def of(cls, found: Document) -> _Model:
        return cls({each.path: each for each in found.listings}, found.last_number, found.floor, found.version)

    def add(self, wish: Listing) -> None:
        before = self.listings.get(wish.path)
        self.last_number += before is None
        self.floor = max(self.floor, wish.floor)
        number = before.number if before else self.last_number
        if wish.floor > number:
            raise Rejected(
                f"a floor of {wish.floor} would keep {wish.model}@{wish.version} itself from every box for good, since "
                f"it is number {number}; name one up to that with --floor"
            )
        self.listings[wish.path] = replace(wish, number=number)


def listed(
    chain: Chain,
    wishes: Iterable[Listing],
    gone: Iterable[tuple[ModelName, Version]],
    signers: Sequence[Signer],
    now: int,
    *,
    again: bool = False,
) -> dict[str, bytes]:
    """New documents by role: releases of `wishes` listed, those of `gone` no more. What is due is signed anew as well;
    `again`: whatever its age, so that its version is above what boxes saw before a backup was restored. Where several
    must sign and not all of them are here, the others add theirs: see `counting`.

    A release gets its model's next number, whatever the wish says; one that is listed already keeps the one it has.

    Raises:
        Rejected: none of the keys may sign; a release to withdraw that is not listed; a floor above a release's own
            number.
    """
    signing = able(chain, trust.MODELS, signers)
    changed = _changed(chain.documents, wishes, gone)
    for role, found in chain.documents.items():
        if is_model(role) and (again or found.due(now)):
            _model_of(changed, chain.documents, role)
    made = {role: _written(role, model, signing, now) for role, model in sorted(changed.items())}
    models_due = again or chain.documents[trust.MODELS].due(now)
    if models_due or made.keys() - chain.documents[trust.MODELS].delegated.keys():
        made[trust.MODELS] = models(chain, made, signing, now)
    return made


def able(chain: Chain, role: str, signers: Sequence[Signer]) -> list[Signer]:
    """Those of `signers` that may sign `role`. Raises Rejected where none may."""
    trusted = {key.keyid for key in chain.keys(role)}
    found = {each.public_key.keyid: each for each in signers if each.public_key.keyid in trusted}
    if not found:
        raise Rejected(
            f"{role} wants signatures of {chain.threshold(role)} of its {len(trusted)} keys, and 0 of those given may "
            "sign: name others with --key ('longshore keys' shows which may)"
        )
    return list(found.values())


def models(chain: Chain, made: Iterable[str], signers: Sequence[Signer], now: int) -> bytes:
    """`models` with the roles of `made` beside those it has."""
    before, keys = chain.documents[trust.MODELS], chain.keys(trust.MODELS)
    roles = sorted({*before.delegated, *made})
    return ceremony.models(keys, chain.threshold(trust.MODELS), roles, before.version, signers, now)


def _changed(
    documents: Mapping[str, Document], wishes: Iterable[Listing], gone: Iterable[tuple[ModelName, Version]]
) -> dict[str, _Model]:
    after: dict[str, _Model] = {}
    for wish in wishes:
        _model_of(after, documents, trust.model_role(wish.model)).add(wish)
    for model, version in gone:
        listings = _model_of(after, documents, trust.model_role(model)).listings
        if listings.pop(trust.release_path(model, version), None) is None:
            raise Rejected(f"{model}@{version} is not listed; 'longshore get releases' shows what is signed")
    return after


def _model_of(after: dict[str, _Model], documents: Mapping[str, Document], role: str) -> _Model:
    if role not in after:
        after[role] = _Model.of(documents.get(role) or Document(role, 0, 0))
    return after[role]


def signed_again(found: Document, signers: Sequence[Signer], now: int) -> bytes:
    """What a model lists, unchanged, by other keys or for another while."""
    return _written(found.role, _Model.of(found), signers, now)


def _written(role: str, model: _Model, signers: Sequence[Signer], now: int) -> bytes:
    document = Targets(
        version=next_version(role, model.version, now),
        expires=metadata.expiry(role, now),
        targets={each.path: metadata.target(each) for each in model.listings.values()},
        unrecognized_fields={LAST_NUMBER: model.last_number, trust.FLOOR: model.floor},
    )
    return metadata.signed(document, signers)
