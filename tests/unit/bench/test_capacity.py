"""How many cameras fit, and by when each is answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.bench import capacity
from agent.bench.capacity import Demand, Room, fastest, room, rooms

FREE = Demand(cores=2, frame=0.02, alone=0.01, slow=0.05, decode=0.0, fit=0.0, stream_rate=15.0)


def test_cameras_take_half_of_the_cores() -> None:
    assert room(FREE, 10.0).cameras == 5
    assert room(replace(FREE, cores=8), 10.0).cameras == 20


def test_pictures_that_nobody_looks_at_are_decoded_too() -> None:
    watched = replace(FREE, decode=0.002, stream_rate=25.0)
    looked = room(watched, 10.0)
    assert looked.cameras == 4
    assert looked.decoding == pytest.approx(0.2)
    assert room(replace(watched, stream_rate=5.0), 10.0).cameras == 4, "a camera gives as many as are looked at"


def test_more_looks_never_make_room_for_more_cameras() -> None:
    fits = [each.cameras for each in rooms(replace(FREE, decode=0.001, fit=0.0005))]
    assert fits == sorted(fits, reverse=True)
    assert fits[0] > fits[-1] > 0


def test_a_model_that_works_more_than_half_of_the_time_for_one_camera_has_none() -> None:
    many_cores = replace(FREE, cores=64, alone=0.051)
    assert room(many_cores, 10.0) == Room(10.0, 0)
    assert room(many_cores, 9.0).cameras > 0


def test_a_film_that_one_thread_cannot_decode_in_half_of_the_time_has_no_camera() -> None:
    assert room(replace(FREE, cores=64, decode=0.04), 1.0) == Room(1.0, 0)


def test_a_deadline_is_three_times_what_a_slow_frame_takes() -> None:
    assert room(replace(FREE, slow=0.11), 10.0).deadline_ms == 350
    assert room(FREE, 10.0).deadline_ms == 250


def test_a_deadline_waits_for_the_last_of_all_cameras_that_came_at_one_moment() -> None:
    each_second = room(FREE, 1.0)
    assert (each_second.cameras, each_second.deadline_ms) == (50, 550)


def test_a_camera_alone_is_asked_no_faster_than_films_run() -> None:
    assert fastest(replace(FREE, alone=0.001)) == capacity.FASTEST
