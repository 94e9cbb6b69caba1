"""How signed documents from outside are judged, before any is kept. Pure.

They are judged together, as the state that would be: what a new root or targets takes away must be signed anew in the
same upload. Documents of online roles come from nobody but this control plane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controlplane.errors import Conflict
from controlplane.signing.documents import PATHS, Document, Keys, delegator, is_model, model_paths
from protos import ids, trust
from protos.errors import Rejected
from protos.ids import Digest, ModelName, Version, model_name
from protos.trust import Listing

TOP = frozenset({trust.ROOT, trust.TARGETS, trust.SNAPSHOT, trust.TIMESTAMP})
_HIGHEST = 1 << 53  # of a version: more can be no time, and no client's number
_LONGEST_WORD, _LONGEST_NAME = 63, 200  # letters of a device class or a version, and of who signed
AGAIN = "somebody else signed meanwhile; run the same command again"


@dataclass(frozen=True)
class Registered:
    """A release as it lies in the registry; `size` is its manifest's, in bytes."""

    digest: Digest
    size: int
    task: str


@dataclass(frozen=True)
class Upload:
    """Documents that came, and the state with and without them."""

    roles: frozenset[str]  # that came
    before: Mapping[str, Document]
    after: Mapping[str, Document]  # read with the delegators that came, where some did
    root_by_old: Document | None  # the root that came, as the keys of the one before see it
    releases: Mapping[tuple[ModelName, Version], Registered]
    withdrawn: frozenset[str]  # paths
    able: frozenset[str]  # online roles that could be signed afterwards
    now: int  # Unix seconds


def judge(upload: Upload, *, proposed: bool = False) -> None:
    """`proposed`: what came waits for signatures yet; all else must be right already.

    Raises Rejected with the file and the rule it breaks; Conflict when it was made of what is no longer newest.
    """
    for role in sorted(upload.roles):
        _allowed(role)
    _signed(upload, upload.roles if proposed else frozenset())
    if upload.root_by_old is not None:
        _root(upload.after[trust.ROOT])
        if not proposed:
            _root_by_old(upload.root_by_old)
    for role in sorted(upload.roles):
        _newer(role, upload)
        _fresh(role, upload)
        check_size(upload.after[role])
    for role, rules in ((trust.TARGETS, _targets), (trust.MODELS, _models)):
        if role in upload.roles:
            rules(upload)
    for role in sorted(filter(is_model, upload.roles)):
        _model(role, upload)
    _able(upload)


def check_size(found: Document) -> None:
    """Raises Rejected: no box would read all of it."""
    if found.size > trust.MOST_BYTES:
        less = "fewer Deployments" if found.role == trust.ASSIGN else "fewer releases of one model, or fewer models"
        raise Rejected(
            f"{found.role}.json would have {found.size} bytes, and boxes read {trust.MOST_BYTES}; have {less}, and "
            "nothing was changed now"
        )


def _allowed(role: str) -> None:
    if role in trust.ONLINE:
        raise Rejected(f"{role}.json is signed by the control plane itself and taken from nobody")
    if role not in (trust.ROOT, trust.TARGETS, trust.MODELS) and not is_model(role):
        raise Rejected(f"{role}.json is of no role that there is")
    if is_model(role):
        model_name(role.removeprefix("model-"))


def _newer(role: str, upload: Upload) -> None:
    before, after = upload.before.get(role), upload.after[role]
    if before is not None and after.version <= before.version:
        raise Conflict(f"{role}.json has version {after.version}, and {before.version} is here; {AGAIN}")
    if role == trust.ROOT and before is not None and after.version != before.version + 1:
        raise Rejected(f"root.json must be version {before.version + 1}, one above the last: boxes climb step by step")
    if after.version >= _HIGHEST:
        raise Rejected(f"{role}.json has version {after.version}, which no clock gives; set the signer's clock")


def _fresh(role: str, upload: Upload) -> None:
    if upload.after[role].expires <= upload.now:
        raise Rejected(f"{role}.json has expired already; see that the signer's clock is right, and sign again")


def _root_by_old(by_old: Document) -> None:
    if not by_old.verified:
        raise Rejected(
            f"root.json has {len(by_old.signed_by)} of the {by_old.threshold} signatures that the root before it wants"
        )


def _root(root: Document) -> None:
    if root.delegated.keys() != TOP:
        raise Rejected(f"root.json must name keys of {', '.join(sorted(TOP))}, and of nothing else")


def _targets(upload: Upload) -> None:
    targets = upload.after[trust.TARGETS]
    if targets.stray or targets.delegated.keys() != PATHS.keys() or dict(targets.paths) != PATHS:
        raise Rejected("targets.json must delegate models/*/* to models and assign/*/* to assign, and nothing else")


def _models(upload: Upload) -> None:
    models, before = upload.after[trust.MODELS], upload.before.get(trust.MODELS)
    keys = upload.after[trust.TARGETS].delegated[trust.MODELS]
    for role, trusted in models.delegated.items():
        _allowed(role)
        if not is_model(role) or models.paths[role] != model_paths(role):
            raise Rejected(
                f"models.json may delegate models/<name>/* to model-<name>, and nothing else; {role} is not so"
            )
        if trusted != Keys(keys.ids, keys.threshold):
            raise Rejected(f"models.json must trust the release keys with {role}, all of them and no others")
    if models.stray:
        raise Rejected(f"models.json lists {models.stray[0]}; releases are listed by their model's own document")
    if before is not None and (lost := before.delegated.keys() - models.delegated.keys()):
        raise Conflict(f"models.json lacks {min(lost)}; {AGAIN}")


def _model(role: str, upload: Upload) -> None:
    after, before = upload.after[role], upload.before.get(role) or Document(role, 0, 0)
    listed = {each.path: each for each in before.listings}
    numbers = [each.number for each in after.listings]
    if len(set(numbers)) != len(numbers):
        raise Rejected(f"{role}.json gives one number to two releases")
    if after.last_number < before.last_number:
        raise Conflict(
            f"{role}.json knows numbers up to {after.last_number}, and {before.last_number} was given; {AGAIN}"
        )
    if after.floor < before.floor:
        raise Rejected(
            f"{role}.json has the floor {after.floor}, and {before.floor} holds; a floor is never taken back, so sign "
            "with a 'longshore' as new as this control plane"
        )
    for each in after.listings:
        if each.model != role.removeprefix("model-"):
            raise Rejected(f"{role}.json lists {each.path}, which is of another model")
        _listing(each, listed.get(each.path), before.last_number, upload)
    lost = listed.keys() - {each.path for each in after.listings} - upload.withdrawn
    if lost:
        raise Conflict(
            f"{role}.json no longer lists {min(lost)}; withdraw it by name, or, if you did not mean to: {AGAIN}"
        )


def _listing(item: Listing, before: Listing | None, last_number: int, upload: Upload) -> None:
    """What is new or changed is a release that is here. What was listed keeps digest and number."""
    if before == item:
        return
    found = upload.releases.get((item.model, item.version))
    if found is None:
        raise Rejected(f"{item.path} is listed and not in the registry; run 'longshore push' first, then sign")
    if (item.digest, item.size, item.task) != (found.digest, found.size, found.task):
        raise Rejected(f"{item.path} is listed with other content than the registry has; sign what was pushed")
    if not _storable(item):
        raise Rejected(f"{item.path} has words of its signer that are too long, or no single line")
    if item.floor > item.number:
        raise Rejected(f"{item.path} is number {item.number} with a floor of {item.floor}, so that no box would run it")
    if before is not None and (before.digest, before.number) != (item.digest, item.number):
        raise Rejected(f"{item.path} is listed already, with another number or digest; neither ever changes")
    if before is None and item.number <= last_number:
        raise Conflict(f"{item.path} has number {item.number}, and {last_number} was given already; {AGAIN}")


def _storable(item: Listing) -> bool:
    words = (*item.device_classes, item.minimum_agent)
    fits = len(item.signed_by) <= _LONGEST_NAME and all(len(word) <= _LONGEST_WORD for word in words)
    return fits and all(map(ids.is_one_line, (*words, item.signed_by)))


def _signed(upload: Upload, waiting: frozenset[str]) -> None:
    """What came, unless it is `waiting`, and what stays under a delegator that came."""
    for role, found in sorted(upload.after.items()):
        if role not in trust.ONLINE and role not in waiting and not found.verified:
            raise Rejected(
                f"{role}.json has {len(found.signed_by)} of the {found.threshold} signatures that "
                f"{delegator(role)}.json wants; sign it with the keys it trusts, in the same upload"
            )


def _able(upload: Upload) -> None:
    for role in trust.ONLINE:
        if role not in upload.able:
            raise Rejected(
                f"this control plane holds too few keys for {role} as these documents want it; make its keys with "
                "'longshore keys rotate', or put its key URI into a file NAME.uri in its folder 'trust'"
            )
