"""A film that is being written plays already."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agent.cameras.picture import RgbPicture
from agent.trial.feed import FedPicture
from agent.trial.film import Film
from tests.sim.clips import played


def test_a_film_whose_writer_was_killed_plays_up_to_its_last_second(tmp_path: Path) -> None:
    film = Film(tmp_path / "a.mp4", rate=10)
    noise = np.random.default_rng(0)
    for number in range(60):
        pixels = noise.integers(0, 255, (90, 160, 3), np.uint8)
        film.add(pixels, FedPicture(str(number), RgbPicture(pixels), number / 10, 0.0, 0.0))
    copy = tmp_path / "as-a-kill-leaves-it.mp4"
    copy.write_bytes((tmp_path / "a.mp4").read_bytes())
    film.close()
    assert len(played(copy)) >= 40
    assert len(played(tmp_path / "a.mp4")) == 60


def test_pictures_that_come_at_one_time_follow_each_other(tmp_path: Path) -> None:
    film = Film(tmp_path / "a.mp4", rate=10)
    pixels = np.zeros((90, 160, 3), np.uint8)
    for number in range(3):
        film.add(pixels, FedPicture(str(number), RgbPicture(pixels), 0.0, 0.0, 0.0))
    film.close()
    assert len(played(tmp_path / "a.mp4")) == 3
