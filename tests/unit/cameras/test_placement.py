"""Who lives with whom in a capture worker, and who is to blame for its death."""

from __future__ import annotations

import faulthandler
import tempfile
import threading

from agent.cameras.placement import STRIKES, UNCLEAR_STRIKES, WINDOW, Strikes, assign, culprit
from protos.ids import CameraName


def cameras(*names: str) -> list[CameraName]:
    return [CameraName(name) for name in names]


A, B, C, D, E, F = cameras("a", "b", "c", "d", "e", "f")


def test_eight_cameras_share_a_worker_and_the_ninth_gets_another() -> None:
    names = [CameraName(f"cam-{number}") for number in range(9)]
    placed = assign({}, names, ())
    assert [placed[name] for name in names] == [0] * 8 + [1]


def test_what_runs_is_not_moved() -> None:
    now = {A: 0, B: 1, C: 1}
    placed = assign(now, [A, B, C, D], ())
    assert {name: placed[name] for name in now} == now


def test_room_is_used_before_a_new_worker_is_started() -> None:
    assert assign({A: 3, B: 3}, [A, B, C], ())[C] == 3


def test_a_camera_that_must_be_alone_moves_out_and_nobody_moves_in() -> None:
    placed = assign({A: 0, B: 0}, [A, B, C, D], {B})
    assert placed[A] == placed[C] == placed[D] == 0
    assert placed[B] == 1
    assert assign(placed, [A, B, C, D, E, F], {B})[F] != placed[B]


def test_an_only_camera_is_already_alone() -> None:
    assert assign({A: 2}, [A], {A}) == {A: 2}


def test_a_camera_to_blame_twice_lives_alone() -> None:
    strikes = Strikes()
    for death in range(STRIKES):
        assert A not in strikes.alone
        strikes.died([A, B], A, float(death))
    assert strikes.alone == {A}


def test_deaths_long_ago_are_forgotten() -> None:
    strikes = Strikes()
    strikes.died([A, B], A, 0.0)
    strikes.died([A, B], A, WINDOW + 1)
    assert strikes.alone == set()


def test_when_nobody_is_to_blame_all_are_parted_after_some_deaths() -> None:
    strikes = Strikes()
    for death in range(UNCLEAR_STRIKES):
        assert not strikes.alone
        strikes.died([A, B], None, float(death))
    assert strikes.alone == {A, B}


def test_a_changed_camera_begins_anew() -> None:
    strikes = Strikes()
    for death in range(STRIKES):
        strikes.died([A, B], A, float(death))
    strikes.forget(A)
    assert strikes.alone == set()


def test_the_thread_that_died_is_found_in_the_interpreters_last_words() -> None:
    with tempfile.TemporaryFile("w+") as words:
        faulthandler.dump_traceback(words, all_threads=True)
        words.seek(0)
        text = words.read()
    assert culprit(text, {threading.get_ident(): A}) == A
    assert culprit(text, {1: A}) is None
    assert culprit("", {threading.get_ident(): A}) is None
