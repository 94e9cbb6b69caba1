"""Both must agree, and a listing's rules must fit; each refusal begins with the name of its rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.trust import agreement
from agent.trust.agreement import Approval, Found, Kind
from agent.trust.errors import NotApproved, NotYet
from protos.errors import Rejected
from protos.ids import DeploymentName, Digest, ModelName, Version, digest_of
from protos.manifest import parse
from protos.trust import Assignment, Listing
from tests.sim import releases

RELEASE = releases.make("1.0.0")
LISTING = Listing(ModelName("harbour"), Version("1.0.0"), RELEASE.digest, len(RELEASE.manifest), 5, "detection")
ASSIGNMENT = Assignment(DeploymentName("quay"), LISTING.model, LISTING.version, LISTING.digest, LISTING.size)
FOUND = Found("assign/quay/release", 7, ASSIGNMENT, LISTING, 5)
KIND = Kind(("x86_64-cpu",), "0.3.1")


def rule(found: Found, kind: Kind = KIND, digest: Digest = RELEASE.digest) -> str:
    with pytest.raises(NotApproved) as refused:
        agreement.approved(found, digest, kind)
    assert str(refused.value).startswith(f"{refused.value.rule}: ")
    return refused.value.rule


def test_what_agrees_is_approved() -> None:
    assert agreement.approved(FOUND, RELEASE.digest, KIND) == Approval(RELEASE.digest, LISTING)


def test_what_is_missing_may_still_come() -> None:
    for found in (replace(FOUND, assignment=None), replace(FOUND, listing=None)):
        with pytest.raises(NotYet, match=r"^not signed: .*longshore sign"):
            agreement.approved(found, RELEASE.digest, KIND)


def test_a_hint_that_differs_from_the_assignment_may_be_older_or_newer() -> None:
    with pytest.raises(NotYet, match="once they agree"):
        agreement.approved(FOUND, digest_of(b"another"), KIND)


def test_another_digest_or_length_than_was_listed_contradicts() -> None:
    assert rule(replace(FOUND, listing=replace(LISTING, digest=digest_of(b"another")))) == "assign-disagrees"
    assert rule(replace(FOUND, listing=replace(LISTING, size=LISTING.size + 1))) == "assign-disagrees"


def test_a_number_below_the_floor_is_refused() -> None:
    assert rule(replace(FOUND, floor=6)) == "release-floor"


def test_a_device_class_must_fit_where_any_is_named() -> None:
    listing = replace(LISTING, device_classes=("aarch64-cuda", "x86_64-cuda"))
    assert rule(replace(FOUND, listing=listing)) == "device-class"
    agreement.approved(replace(FOUND, listing=listing), RELEASE.digest, Kind(("x86_64-tensorrt", "x86_64-cuda"), "1"))
    assert agreement.device_classes("x86_64", "tensorrt") == ("x86_64-tensorrt", "x86_64-cuda")
    assert agreement.device_classes("x86_64", "cpu") == ("x86_64-cpu",)
    assert agreement.device_classes("x86_64", "openvino-bf16") == ("x86_64-openvino-bf16", "x86_64-cpu")


@pytest.mark.parametrize(
    ("needed", "fits"), [("", True), ("0.3", True), ("0.3.1", True), ("0.3.2", False), ("1", False)]
)
def test_an_agent_must_be_new_enough(needed: str, *, fits: bool) -> None:
    found = replace(FOUND, listing=replace(LISTING, minimum_agent=needed))
    if fits:
        agreement.approved(found, RELEASE.digest, KIND)
    else:
        assert rule(found) == "minimum-agent"


@pytest.mark.parametrize("listing", [{"model": "yard"}, {"version": "1.0.1"}, {"task": "classification"}, {"size": 1}])
def test_the_manifest_is_what_was_listed(listing: dict[str, object]) -> None:
    described, size = parse(RELEASE.manifest), len(RELEASE.manifest)
    agreement.check(described, size, Approval(RELEASE.digest, LISTING))
    with pytest.raises(NotApproved, match=r"^manifest-differs: "):
        agreement.check(described, size, Approval(RELEASE.digest, replace(LISTING, **listing)))  # type: ignore[arg-type]  # one field


def test_an_approval_is_read_as_it_was_written() -> None:
    for approval in (Approval(RELEASE.digest, LISTING), agreement.confirmed_before(RELEASE.digest)):
        assert agreement.from_bytes(agreement.to_bytes(approval)) == approval
    with pytest.raises(Rejected):
        agreement.from_bytes(b"{}")
