"""What an operator sets, and what a release tells."""

from __future__ import annotations

from agent.offload.profile import PRIOR, Profile, SizeProfile
from agent.offload.terms import Terms
from protos.ids import CameraName

QUAY, GATE = CameraName("quay"), CameraName("gate")


def test_a_frame_is_worth_its_camera_times_the_dearest_thing_in_it() -> None:
    terms = Terms(values={"person": 5.0, "bird": 0.1}, camera_values={GATE: 2.0})
    assert terms.worth(QUAY) == 1.0
    assert terms.worth(GATE, ["bird", "person"]) == 10.0
    assert terms.worth(QUAY, ["bird"]) == 0.1
    assert terms.worth(QUAY, ["boat"]) == 1.0, "what has no value set is worth one"


def test_pictures_of_a_camera_that_stays_never_leave() -> None:
    terms = Terms(stays=frozenset({QUAY}))
    assert not terms.may_leave(QUAY)
    assert terms.may_leave(GATE)


def test_what_a_release_does_not_tell_is_guessed_carefully_and_shown_as_guessed() -> None:
    assert not PRIOR.measured
    assert PRIOR.metric("") <= PRIOR.cloud
    assert all(calibrated <= raw or raw == 0 for raw, calibrated in PRIOR.confidence)


def test_a_size_that_is_not_known_counts_as_the_cheapest() -> None:
    profile = Profile((SizeProfile("s", 0.6), SizeProfile("m", 0.8)), 0.9, (), (), measured=True)
    assert [profile.metric(size) for size in ("s", "m", "xl")] == [0.6, 0.8, 0.6]
