"""Signed documents from outside, judged as values: what no signer of ours writes is refused by its own rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controlplane.errors import Conflict
from controlplane.fleet.objects import Deployment, Meta
from controlplane.fleet.specs import deployment_spec
from controlplane.signing.documents import PATHS, Document, Keys, model_paths
from controlplane.trust import due, judging
from controlplane.trust.judging import Registered, Upload
from protos import trust
from protos.errors import Rejected
from protos.ids import DeploymentName, Digest, ModelName, Version
from protos.trust import Listing
from tests.sim import releases

NOW = 1_000_000
HARBOUR = releases.make("1.0.0", size=100)
NAME = ModelName("harbour"), Version("1.0.0")
LISTED = Listing(*NAME, HARBOUR.digest, 100, 1, "detection")
RELEASE = Keys(frozenset({"release"}))


def document(role: str, **fields: object) -> Document:
    """Signed by as many as it takes, version 7, fresh."""
    known = {"version": 7, "expires": NOW + 100, "signed_by": frozenset({"key"})} | fields
    return Document(role, **known)  # type: ignore[arg-type]


STATE = {
    each.role: each
    for each in (
        document(trust.ROOT, delegated=dict.fromkeys(judging.TOP, Keys(frozenset({"root"})))),
        document(trust.TARGETS, delegated={trust.MODELS: RELEASE, trust.ASSIGN: Keys()}, paths=PATHS),
        document(
            trust.MODELS, delegated={"model-harbour": RELEASE}, paths={"model-harbour": model_paths("model-harbour")}
        ),
        document("model-harbour", listings=(LISTED,), last_number=1),
    )
}


def upload(role: str, **fields: object) -> Upload:
    """The next version of `role`, changed in these fields."""
    after = replace(STATE[role], **{"version": 8} | fields)  # type: ignore[arg-type]
    return Upload(
        roles=frozenset({role}),
        before=STATE,
        after={**STATE, role: after},
        root_by_old=after if role == trust.ROOT else None,
        releases={NAME: Registered(HARBOUR.digest, 100, "detection")},
        withdrawn=frozenset(),
        able=frozenset(trust.ONLINE),
        now=NOW,
    )


@pytest.mark.parametrize("role", STATE)
def test_the_next_version_of_each_is_taken(role: str) -> None:
    judging.judge(upload(role))


@pytest.mark.parametrize("role", STATE)
def test_what_has_expired_is_not_taken(role: str) -> None:
    with pytest.raises(Rejected, match="expired already"):
        judging.judge(upload(role, expires=NOW))


@pytest.mark.parametrize("role", STATE)
def test_no_document_takes_the_place_of_one_that_is_as_new(role: str) -> None:
    with pytest.raises(Conflict, match="has version 7, and 7 is here"):
        judging.judge(upload(role, version=7))


def test_roots_are_one_above_the_other() -> None:
    with pytest.raises(Rejected, match="must be version 8"):
        judging.judge(upload(trust.ROOT, version=9))


def test_a_version_that_no_clock_gives_is_refused() -> None:
    with pytest.raises(Rejected, match="no clock gives"):
        judging.judge(upload("model-harbour", version=1 << 53))


def test_a_document_of_another_role_is_not_kept() -> None:
    found = upload(trust.MODELS)
    other = document("bins")
    with pytest.raises(Rejected, match=r"bins\.json is of no role"):
        judging.judge(replace(found, roles=frozenset({"bins"}), after={**found.after, "bins": other}))


def test_a_root_names_keys_of_its_four_roles_and_of_nothing_else() -> None:
    more = {**STATE[trust.ROOT].delegated, "mirrors": Keys()}
    with pytest.raises(Rejected, match="and of nothing else"):
        judging.judge(upload(trust.ROOT, delegated=more))


@pytest.mark.parametrize(
    "fields",
    [
        {"stray": ("models/harbour/9.9.9",)},
        {"delegated": {trust.MODELS: RELEASE, trust.ASSIGN: Keys(), "more": Keys()}},
        {"paths": {**PATHS, trust.ASSIGN: ("assign/*/*", "models/*/*")}},
    ],
    ids=["lists", "delegates", "paths"],
)
def test_targets_delegates_two_roles_their_own_paths_and_lists_nothing(fields: dict[str, object]) -> None:
    with pytest.raises(Rejected, match="and nothing else"):
        judging.judge(upload(trust.TARGETS, **fields))


def test_models_lists_no_release_itself() -> None:
    with pytest.raises(Rejected, match=r"models\.json lists models/harbour/9\.9\.9"):
        judging.judge(upload(trust.MODELS, stray=("models/harbour/9.9.9",)))


def test_a_number_that_was_given_before_is_not_given_again() -> None:
    other = Version("1.1.0")
    found = upload("model-harbour", listings=(LISTED, replace(LISTED, version=other, number=2)), last_number=2)
    before = {**STATE, "model-harbour": replace(STATE["model-harbour"], last_number=2)}  # of one that was withdrawn
    releases_here = {**found.releases, (NAME[0], other): found.releases[NAME]}
    with pytest.raises(Conflict, match="has number 2, and 2 was given already"):
        judging.judge(replace(found, before=before, releases=releases_here))


def test_what_was_listed_keeps_its_number() -> None:
    with pytest.raises(Rejected, match="another number or digest"):
        judging.judge(upload("model-harbour", listings=(replace(LISTED, number=2),), last_number=2))


def test_a_floor_above_the_release_s_own_number_is_refused() -> None:
    with pytest.raises(Rejected, match="is number 1 with a floor of 2, so that no box would run it"):
        judging.judge(upload("model-harbour", listings=(replace(LISTED, floor=2),), floor=2))


def test_the_floor_of_a_model_never_sinks() -> None:
    before = {**STATE, "model-harbour": replace(STATE["model-harbour"], floor=3)}
    with pytest.raises(Rejected, match=r"model-harbour\.json has the floor 0, and 3 holds"):
        judging.judge(replace(upload("model-harbour"), before=before))
    judging.judge(replace(upload("model-harbour", floor=3), before=before))


@pytest.mark.parametrize("role", STATE)
def test_what_is_longer_than_boxes_read_is_not_taken(role: str) -> None:
    judging.judge(upload(role, size=trust.MOST_BYTES))
    with pytest.raises(Rejected, match=f"{role}.json would have 5000001 bytes, and boxes read 5000000; have fewer"):
        judging.judge(upload(role, size=trust.MOST_BYTES + 1))


def test_no_release_vanishes_but_by_name() -> None:
    found = upload("model-harbour", listings=())
    with pytest.raises(Conflict, match="withdraw it by name"):
        judging.judge(found)
    judging.judge(replace(found, withdrawn=frozenset({LISTED.path})))


def test_what_the_registry_has_otherwise_is_not_assigned() -> None:
    spec = deployment_spec({"model": "harbour", "version": "1.0.0"})
    wanted = [Deployment(DeploymentName("gate"), Meta("u", 1), spec)]
    assert [each.path for each in due.assignments(wanted, {NAME: LISTED}, {NAME: LISTED.digest})] == [
        "assign/gate/release"
    ]
    assert due.assignments(wanted, {NAME: LISTED}, {NAME: Digest("sha256:" + "0" * 64)}) == ()
