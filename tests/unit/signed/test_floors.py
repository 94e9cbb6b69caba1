"""Floors only rise, within one set of online keys; of two copies the higher counts."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.state_memory import MemoryState
from agent.trust import agreement, floors
from agent.trust.agreement import Approval
from agent.trust.errors import Untrusted
from agent.trust.floors import Floors, RootFacts, Seen
from agent.trust.kept import FLOORS, Approvals, KeptFloors
from protos.errors import Rejected, Retryable
from protos.ids import ModelName, Version, digest_of
from protos.trust import Listing

KNOWN = Floors("fleet", 3, "keys", 2, {"timestamp": 7, "snapshot": 5, "assign": 4}, 1_000, {"harbour": 2})
CONFIRMED = digest_of(b"confirmed long ago")
SAME = [RootFacts(1, "old"), RootFacts(2, "keys"), RootFacts(3, "keys")]
versions = st.dictionaries(st.sampled_from(["timestamp", "snapshot", "assign"]), st.integers(1, 9))
some_floors = st.builds(
    Floors,
    st.just("fleet"),
    st.integers(0, 5),
    st.just("keys"),
    st.integers(0, 3),
    versions,
    st.integers(0, 99),
    st.dictionaries(st.sampled_from(["harbour", "yard"]), st.integers(1, 9)),
)


class Place:
    """The second place, in memory."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content
        self.fails = False

    def floors(self) -> bytes:
        return self.content

    def keep_floors(self, content: bytes) -> None:
        if self.fails:
            raise Retryable("the disk is full")
        self.content = content


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "assign"])
def test_a_lower_version_of_any_role_is_refused_by_its_file(role: str) -> None:
    with pytest.raises(Untrusted, match=rf"{role}\.json is version {KNOWN.roles[role] - 1} and this box has seen"):
        floors.raised(KNOWN, Seen({**KNOWN.roles, role: KNOWN.roles[role] - 1}))


def test_a_role_that_is_gone_is_refused() -> None:
    with pytest.raises(Untrusted, match=r"assign\.json is gone"):
        floors.raised(KNOWN, Seen({"timestamp": 8, "snapshot": 6}))


def test_time_that_was_signed_never_goes_back() -> None:
    assert floors.raised(KNOWN, Seen({**KNOWN.roles, "timestamp": 8}, signed=900)).signed == 1_000
    assert floors.raised(KNOWN, Seen({**KNOWN.roles, "timestamp": 8}, signed=1_100)).signed == 1_100


def test_a_root_without_other_online_keys_leaves_floors_as_they_are() -> None:
    assert floors.rooted(KNOWN, [*SAME, RootFacts(4, "keys")]) == replace(KNOWN, root=4)


def test_a_root_with_other_online_keys_lets_what_they_signed_begin_anew_and_nothing_else() -> None:
    after = floors.rooted(KNOWN, [*SAME, RootFacts(4, "new")])
    assert after == Floors("fleet", 4, "new", 4, {}, 0, {"harbour": 2})


def test_a_change_that_was_seen_before_is_none() -> None:
    assert floors.rooted(KNOWN, SAME) == KNOWN


def test_a_change_between_the_last_root_and_one_taken_at_joining_is_seen() -> None:
    assert floors.rooted(KNOWN, [RootFacts(9, "new")]).roles == {}


def test_an_older_root_is_refused() -> None:
    with pytest.raises(Untrusted, match=r"root\.json is version 2 and this box has seen version 3"):
        floors.rooted(KNOWN, SAME[:2])


def test_a_release_floor_is_never_lowered() -> None:
    assert floors.with_release(KNOWN, "harbour", 1) == KNOWN
    assert floors.with_release(KNOWN, "harbour", 3).releases == {"harbour": 3}


@given(some_floors, some_floors)
def test_of_two_copies_the_higher_counts_whichever_comes_first(one: Floors, other: Floors) -> None:
    both = floors.higher([one, other], "fleet")
    assert both == floors.higher([other, one], "fleet")
    assert both.root == max(one.root, other.root)
    assert all(both.releases[model] >= copy.releases[model] for copy in (one, other) for model in copy.releases)
    newest = max(one, other, key=lambda copy: copy.since)
    assert all(both.roles[role] >= version for role, version in newest.roles.items())


def test_a_copy_from_before_the_keys_were_changed_brings_no_floor_back() -> None:
    anew = Floors("fleet", 4, "new", 4, {"timestamp": 1}, 50, {})
    assert floors.higher([KNOWN, anew], "fleet") == Floors("fleet", 4, "new", 4, {"timestamp": 1}, 50, {"harbour": 2})


@given(some_floors)
def test_floors_are_read_as_they_were_written(known: Floors) -> None:
    assert floors.from_bytes(floors.to_bytes(known)) == known


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00" * 40, b'{"format": 9, "floors": {}}'])
def test_what_are_no_floors_is_told(content: bytes) -> None:
    with pytest.raises(Rejected):
        floors.from_bytes(content)


@pytest.mark.parametrize("garbage", [b"", b"\x00" * 64, b"{"])
def test_either_place_may_be_lost(garbage: bytes) -> None:
    state, good = MemoryState(), floors.to_bytes(KNOWN)
    state.put(FLOORS, garbage)
    assert KeptFloors(state, Place(good), "fleet").now == KNOWN
    state.put(FLOORS, good)
    assert KeptFloors(state, Place(garbage), "fleet").now == KNOWN


def test_floors_count_once_they_are_in_both_places() -> None:
    state, place = MemoryState(), Place()
    kept = KeptFloors(state, place, "fleet")
    place.fails = True
    with pytest.raises(Retryable):
        kept.keep(KNOWN)
    assert kept.now == Floors("fleet")
    place.fails = False
    kept.keep(KNOWN)
    assert state.get(FLOORS) == place.content == floors.to_bytes(KNOWN)


@pytest.mark.parametrize(("number", "model", "stays"), [(1, "harbour", False), (2, "harbour", True), (1, "yard", True)])
def test_a_state_that_knows_less_than_the_second_place_approves_nothing_below_it(
    number: int, model: str, *, stays: bool
) -> None:
    state = approving(number, model)
    for _ in range(2):
        KeptFloors(state, Place(floors.to_bytes(KNOWN)), "fleet")
        assert bool(Approvals(state)) is stays
    assert state.get(FLOORS) == floors.to_bytes(KNOWN)


def test_a_state_that_knows_less_approves_nothing_without_a_number() -> None:
    state = MemoryState()
    Approvals(state)[CONFIRMED] = agreement.confirmed_before(CONFIRMED)
    KeptFloors(state, Place(floors.to_bytes(KNOWN)), "fleet")
    assert not Approvals(state)


@pytest.mark.parametrize("when", ["the second place failed", "both were written"])
def test_what_answered_while_its_floor_rose_stays_approved(when: str) -> None:
    state, place = approving(1, "harbour"), Place()
    kept = KeptFloors(state, place, "fleet")
    place.fails = when == "the second place failed"
    with contextlib.suppress(Retryable):
        kept.keep(KNOWN)
    assert KeptFloors(state, place, "fleet").now == KNOWN
    assert Approvals(state)


def approving(number: int, model: str) -> MemoryState:
    state = MemoryState()
    listing = Listing(ModelName(model), Version("1.0.0"), CONFIRMED, 10, number, "detection")
    Approvals(state)[CONFIRMED] = Approval(CONFIRMED, listing)
    return state


def test_a_state_from_before_signatures_that_was_put_back_adopts_nothing() -> None:
    state = MemoryState()
    KeptFloors(state, Place(floors.to_bytes(KNOWN)), "fleet")
    approvals = Approvals(state)
    approvals.adopt([CONFIRMED])
    assert list(approvals) == []


def test_a_box_that_has_seen_no_root_adopts_what_it_confirmed() -> None:
    state = MemoryState()
    KeptFloors(state, Place(b""), "fleet")
    approvals = Approvals(state)
    approvals.adopt([CONFIRMED])
    assert len(approvals) == 1
