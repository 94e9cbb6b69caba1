"""What a set of documents would change, in words, for whoever is asked to sign it.

All that is signed is told: a document that holds anything else, or calls a key by another name than its own
fingerprint, is refused. What is told is the difference to what was proven on the reader's own machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tuf.api.metadata import Metadata, Root, Targets

from controlplane.signing import keys, metadata
from controlplane.signing.documents import LAST_NUMBER, RELEASE, Document, Keys, delegator, is_model
from controlplane.signing.keys import Key
from protos import trust
from protos.errors import Rejected
from protos.trust import Listing

_FIRST = (trust.ROOT, trust.TARGETS, trust.MODELS)


def told(before: Mapping[str, bytes], made: Mapping[str, bytes]) -> list[str]:
    """Lines, document by document. Raises Rejected: one that says more than this, or is no newer than what is here."""
    whole, lines = {**before, **made}, list[str]()
    for role in sorted(made, key=lambda role: (role not in _FIRST, role in _FIRST and _FIRST.index(role), role)):
        check_plain(role, made[role])
        after = _read(role, whole)
        known = _read(role, before) if role in before else None
        _check_newer(after, known)
        lines.append(_head(after, known))
        inside = [*_delegated(role, before, made, whole), *_listed(after, known)]
        lines += [f"  {each}" for each in inside or ["nothing else changes"]]
    return [_printable(line) for line in lines]


def _printable(line: str) -> str:
    """A signer's own words must not move the cursor over what stands above them."""
    return "".join(each if each.isprintable() else "\ufffd" for each in line)


def check_plain(role: str, content: bytes) -> None:
    """Raises Rejected: the document holds what nobody would be told of."""
    found = metadata.parsed(role, content)
    known = _keys_of(found.signed).values()
    odd = [each for each in known if each.unrecognized_fields or each.keyid != keys.fingerprint(each)]
    if odd or Metadata[Any](_again(role, found.signed)).signed_bytes != found.signed_bytes:
        raise Rejected(f"{role}.json says more than this command can show; sign nothing, and ask who proposed it")


def _again(role: str, signed: Root | Targets) -> Root | Targets:
    """The same, made of what is told alone."""
    if isinstance(signed, Root):
        used = {key: signed.get_key(key) for each in signed.roles.values() for key in each.keyids}
        return Root(signed.version, signed.spec_version, signed.expires, used, signed.roles, consistent_snapshot=True)
    below = (signed.delegations.roles or {}) if signed.delegations else {}
    held = {name: ([signed.get_key(key) for key in each.keyids], each.threshold) for name, each in below.items()}
    return Targets(
        version=signed.version,
        spec_version=signed.spec_version,
        expires=signed.expires,
        targets={path: metadata.target(_listing(path, signed)) for path in signed.targets},
        delegations=metadata.delegations(held) if signed.delegations else None,
        unrecognized_fields=_kept(signed) if is_model(role) else {},
    )


def _kept(signed: Targets) -> dict[str, Any]:
    """What a model's document says beside its releases; one of before floors were kept names none."""
    told = signed.unrecognized_fields
    return {LAST_NUMBER: told.get(LAST_NUMBER)} | {name: told[name] for name in (trust.FLOOR,) if name in told}


def _listing(path: str, signed: Targets) -> Listing:
    found = signed.targets[path]
    return replace(trust.listing(path, found.length, found.hashes, found.custom or {}), unknown={})


def _keys_of(signed: Root | Targets) -> Mapping[str, Key]:
    if isinstance(signed, Root):
        return signed.keys
    return signed.delegations.keys if signed.delegations else {}


def _read(role: str, contents: Mapping[str, bytes]) -> Document:
    above = delegator(role)
    return metadata.read(role, contents[role], contents[above], above)


def _check_newer(after: Document, before: Document | None) -> None:
    if before is None:
        return
    if after.version <= before.version or (after.role == trust.ROOT and after.version != before.version + 1):
        raise Rejected(
            f"{after.role}.json would be version {after.version} and {before.version} is signed already: it was "
            "overtaken; cancel it and propose again"
        )


def _head(after: Document, before: Document | None) -> str:
    until = datetime.fromtimestamp(after.expires, UTC).strftime("%Y-%m-%d %H:%MZ")
    version = f"version {before.version} → {after.version}" if before else f"new, version {after.version}"
    return f"{after.role}.json: {version}, good until {until}"


# ---- who may sign ----


def _delegated(
    role: str, before: Mapping[str, bytes], made: Mapping[str, bytes], whole: Mapping[str, bytes]
) -> Iterator[str]:
    after = _read(role, whole).delegated
    known = _read(role, before).delegated if role in before else {}
    if role == trust.MODELS:
        yield from _models(after, known, _read(trust.TARGETS, whole).delegated[trust.MODELS])
        return
    for name in sorted(after.keys() | known.keys()):
        held, holding = known.get(name, Keys(threshold=0)), after.get(name, Keys(threshold=0))
        if held != holding:
            yield f"{RELEASE if name == trust.MODELS else name}: {_of(held)} → {_of(holding)} must sign"
            yield from _exchanged(held, holding, {**_named(role, before), **_named(role, made)})


def _of(found: Keys) -> str:
    return f"{found.threshold} of {len(found.ids)}"


def _named(role: str, contents: Mapping[str, bytes]) -> dict[str, Key]:
    return dict(_keys_of(metadata.parsed(role, contents[role]).signed)) if role in contents else {}


def _exchanged(before: Keys, after: Keys, known: Mapping[str, Key]) -> Iterator[str]:
    for sign, ids in (("+", after.ids - before.ids), ("−", before.ids - after.ids)):
        for each in sorted(ids):
            yield f"  {sign} {each} ({known[each].keytype})"
    for each in sorted(after.ids & before.ids):
        yield f"    {each} stays"


def _models(after: Mapping[str, Keys], before: Mapping[str, Keys], release: Keys) -> Iterator[str]:
    """Which keys those of release are, targets.json tells. Raises Rejected: a model would have others."""
    if odd := [name for name, held in after.items() if held != release]:
        raise Rejected(f"models.json would give {odd[0]} other keys than those of release; sign nothing, and ask why")
    for name in sorted(after.keys() - before.keys()):
        yield f"+ a list of {name.removeprefix('model-')}, which {_of(release)} release keys sign"
    for name in sorted(before.keys() - after.keys()):
        yield f"− the list of {name.removeprefix('model-')}"
    if changed := [name for name, held in before.items() if name in after and held != release]:
        yield f"lists of {', '.join(sorted(changed))}: {_of(release)} release keys sign from now on"


# ---- what may run ----


def _listed(after: Document, before: Document | None) -> Iterator[str]:
    held = {each.path: each for each in before.listings} if before else {}
    holding = {each.path: each for each in after.listings}
    for path in sorted(holding.keys() | held.keys()):
        if path not in held:
            yield from _release("+", holding[path])
        elif path not in holding:
            yield f"− {_name(held[path])} (number {held[path].number}): boxes install it no more"
        elif held[path] != holding[path]:
            yield from (f"~ was {each}" for each in _terms(held[path]))
            yield from _release("~", holding[path])
    most = max([0, *(each.number for each in after.listings)])
    if after.last_number > max(most, before.last_number if before else 0):
        yield f"numbers up to {after.last_number} are never given again"
    highest = max([0, *(each.floor for each in after.listings)])
    if after.floor > max(highest, before.floor if before else 0):
        yield f"floor {after.floor}, which no release here brings: boxes run nothing below that number again"


def _release(sign: str, item: Listing) -> Iterator[str]:
    yield f"{sign} {_name(item)} (number {item.number})"
    yield f"    {item.digest}, {item.size} bytes, {item.task}"
    yield from (f"    {each}" for each in _terms(item))


def _terms(item: Listing) -> Iterable[str]:
    where = ", ".join(item.device_classes) or "any device"
    agent = f"agents from {item.minimum_agent}" if item.minimum_agent else "any agent"
    floor = f"floor {item.floor}: boxes run nothing below that number again" if item.floor else "no floor"
    yield f"{floor}; for {where}; {agent}; said to be signed by {item.signed_by} {_at(item.signed_ms)}"


def _at(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")


def _name(item: Listing) -> str:
    return f"{item.model}@{item.version}"
