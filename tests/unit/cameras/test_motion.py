"""Motion in small grey pictures: what counts as it, and what a yard does all day without anything happening."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from agent.cameras.gate import Change
from agent.cameras.letterbox import Pixels
from agent.cameras.motion import GAP_SECONDS, SIDE, MotionDetector

HEIGHT, WIDTH = 135, SIDE
PERIOD = 0.2
Scene = Callable[[int], Pixels]


def yard(seed: int = 1) -> Pixels:
    """A still picture with edges, surfaces and texture."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 180, (9, 16)).astype(np.uint8)
    blocks = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    grain = rng.integers(-12, 13, (HEIGHT, WIDTH))
    return np.asarray(np.clip(blocks + grain, 0, 255), np.uint8)


def noisy(picture: Pixels, number: int, sigma: float = 3.0) -> Pixels:
    rng = np.random.default_rng(number)
    return np.asarray(np.clip(picture + rng.normal(0, sigma, picture.shape), 0, 255), np.uint8)


def thing(picture: Pixels, x: float, y: int, size: tuple[int, int], tone: int = 40) -> Pixels:
    """With a thing darker than what is behind it, its left upper corner at x, y."""
    drawn, (wide, high) = picture.copy(), size
    at = drawn[y : y + high, round(x) : round(x) + wide]
    at[:] = np.maximum(at.astype(np.int16) - tone, 0)
    return drawn


def seen(scene: Scene, count: int, detector: MotionDetector | None = None, start: int = 0) -> list[Change]:
    detector = detector or MotionDetector()
    return [detector.see(scene(number), number * PERIOD) for number in range(start, start + count)]


def moving(found: list[Change]) -> float:
    return sum(each is not Change.STILL for each in found) / len(found)


def settled(still: Scene) -> MotionDetector:
    """After six seconds of this."""
    detector = MotionDetector()
    seen(still, 30, detector)
    return detector


@pytest.mark.parametrize("sigma", [0.0, 3.0, 8.0])
def test_noise_is_no_motion(sigma: float) -> None:
    found = seen(lambda number: noisy(yard(), number, sigma), 60)
    assert found[0] is Change.ANEW
    assert moving(found[1:]) <= 0.02


def test_passing_clouds_are_no_motion() -> None:
    """They take a third of the light away within two seconds, and give it back."""
    light = [1 - 0.33 * min(1.0, max(0.0, (30 - abs(60 - number)) / 10)) for number in range(120)]
    found = seen(lambda number: noisy((yard() * light[number]).astype(np.uint8), number), 120)
    assert moving(found[1:]) <= 0.05


@pytest.mark.parametrize("level", [-60, 50])
def test_a_lamp_is_motion_once_and_then_learned(level: int) -> None:
    """The infrared filter as well: contrasts change with it."""
    lit = np.clip(yard().astype(np.int16) * 2 // 3 + 40 + level, 0, 255).astype(np.uint8)
    lit[::2] = lit[::2] // 2
    found = seen(lambda number: noisy(lit if number >= 30 else yard(), number), 70)
    assert found[30] is Change.ANEW
    assert moving(found[31:]) <= 0.05


@pytest.mark.parametrize(("fence", "pixels"), [(False, 1.5), (True, 1.0)])
def test_a_camera_that_begins_to_tremble_is_no_motion(fence: bool, pixels: float) -> None:
    still = yard()
    if fence:
        still[:, ::12], still[::15] = 20, 220

    def trembling(number: int) -> Pixels:
        dx, dy = np.random.default_rng(number).uniform(-pixels, pixels, 2)
        shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        moved = cv2.warpAffine(still, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
        return noisy(np.asarray(moved, np.uint8), number)

    detector = settled(lambda number: noisy(still, number))
    assert moving(seen(trembling, 20, detector, 30)) <= 0.05
    assert moving(seen(trembling, 40, detector, 50)) <= 0.05


def test_rain_and_speckle_are_no_motion() -> None:
    def raining(number: int) -> Pixels:
        picture, rng = noisy(yard(), number), np.random.default_rng((number, 2))
        for x, y in rng.integers(0, (WIDTH, HEIGHT), (80, 2)):
            picture[y : y + 6, x] = 230
        return picture

    assert moving(seen(raining, 90)[30:]) <= 0.05


def test_water_that_glitters_all_day_is_learned_and_a_boat_on_it_is_still_seen() -> None:
    def water(number: int) -> Pixels:
        picture = noisy(yard(), number)
        rng = np.random.default_rng((number, 3))
        crests = cv2.resize(rng.random((22, 80), dtype=np.float32), (WIDTH, 65)) > 0.75
        picture[70:][crests] = np.minimum(picture[70:][crests].astype(np.int16) + 45, 255)
        return picture

    detector = MotionDetector()
    assert moving(seen(water, 150, detector)[100:]) <= 0.1
    found = seen(lambda number: thing(water(number), number - 150, 90, (24, 12), 110), 40, detector, 150)
    assert moving(found) >= 0.9


@pytest.mark.parametrize(("size", "speed"), [((3, 5), 0.5), ((4, 11), 1.0), ((40, 20), 3.0)])
def test_small_slow_and_large_fast_things_are_seen(size: tuple[int, int], speed: float) -> None:
    detector = settled(lambda number: noisy(yard(), number))
    found = seen(lambda number: thing(noisy(yard(), number), 20 + (number - 30) * speed, 60, size), 50, detector, 30)
    assert Change.MOTION in found[:3]
    assert moving(found[3:]) >= 0.6  # the gate holds the rest


def test_what_comes_to_rest_is_learned_and_its_leaving_is_seen() -> None:
    still, parked = (
        (lambda number: noisy(yard(), number)),
        (lambda number: thing(noisy(yard(), number), 100, 60, (30, 16))),
    )
    detector = settled(still)
    arriving = seen(parked, 150, detector, 30)
    assert arriving[0] is Change.MOTION
    assert moving(arriving[-25:]) == 0
    assert seen(still, 1, detector, 180) == [Change.MOTION]


def test_motion_in_a_mask_does_not_count() -> None:
    detector = MotionDetector([((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))])
    seen(lambda number: noisy(yard(), number), 30, detector)
    flag = seen(lambda number: thing(noisy(yard(), number), 20 + number % 5 * 6, 50, (30, 30)), 20, detector, 30)
    assert moving(flag) == 0
    beside = seen(lambda number: thing(noisy(yard(), number), 150 + number % 5 * 6, 50, (30, 30)), 5, detector, 50)
    assert moving(beside) == 1


def test_another_size_a_gap_and_what_may_be_another_place_are_compared_with_nothing() -> None:
    detector = MotionDetector()
    assert detector.see(yard(), 1.0) is Change.ANEW
    assert detector.see(yard(), 1.2) is Change.STILL
    assert detector.see(yard()[:, :200], 1.4) is Change.ANEW
    assert detector.see(yard()[:, :200], 1.5 + GAP_SECONDS) is Change.ANEW
    assert detector.see(yard()[:, :200], 0.0) is Change.ANEW
    detector.forget()
    assert detector.see(yard()[:, :200], 0.1) is Change.ANEW
