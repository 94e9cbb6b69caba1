"""The drawn harbour: same seed and time, same picture; and truth that is what was drawn."""

from __future__ import annotations

import ast
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from agent.cameras import harbour_scene
from agent.cameras.harbour_scene import CLASSES, HarbourScene, random_scene
from agent.cameras.harbour_scene.canvas import LEAST_VISIBLE, Canvas
from agent.cameras.harbour_scene.light import Weather, light_at, weather_at
from agent.cameras.harbour_scene.motion import Part
from agent.cameras.harbour_scene.sprites import Pen

PLAIN = np.eye(4, dtype=np.float32)  # daylight, no fog


def block(colour: tuple[int, int, int]) -> Part:
    pen = Pen(20, 10, 1.0)
    pen.rect(0, 0, 20, 10, colour)
    return Part(pen.sprite(), 30.0, 40.0, "truck")


def canvas() -> Canvas:
    return Canvas(np.zeros((90, 160, 3), np.uint8))


def test_the_picture_is_a_function_of_seed_and_time() -> None:
    one, other = HarbourScene(3), HarbourScene(3)
    other.render(500.0)  # what was drawn before leaves no trace
    (picture, truths), (again, truths_again) = one.render(12.34), other.render(12.34)
    assert np.array_equal(picture, again)
    assert truths == truths_again


def test_another_seed_is_another_harbour_and_another_time_another_picture() -> None:
    scene = HarbourScene(3)
    picture = scene.render(1.0)[0]
    assert not np.array_equal(picture, HarbourScene(4).render(1.0)[0])
    assert not np.array_equal(picture, scene.render(1.1)[0])


@pytest.mark.parametrize("size", [(640, 360), (320, 180), (1280, 720)])
def test_the_picture_has_the_size_asked_for(size: tuple[int, int]) -> None:
    picture, truths = HarbourScene(5, *size).render(3.0)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8
    assert truths


def test_every_class_shows_up_and_boxes_lie_inside_the_picture() -> None:
    seen: Counter[str] = Counter()
    for seed in range(6):
        for truth in random_scene(seed)[1]:
            x0, y0, x1, y1 = truth.box
            assert 0 <= x0 < x1 <= 1
            assert 0 <= y0 < y1 <= 1
            assert 0 < truth.visible <= 1
            seen[truth.label] += 1
    assert set(seen) == set(CLASSES)


def test_the_box_is_where_the_pixels_are() -> None:
    drawn = canvas()
    drawn.lay(block((200, 40, 40)), PLAIN, {})
    rows, columns = np.nonzero(drawn.picture[:, :, 0] > 100)
    (truth,) = drawn.truths()
    assert truth.box == (columns.min() / 160, rows.min() / 90, (columns.max() + 1) / 160, (rows.max() + 1) / 90)
    assert truth.visible == 1.0


def test_the_box_of_a_half_hidden_object_is_that_of_its_visible_half() -> None:
    drawn = canvas()
    behind, before = block((200, 40, 40)), block((40, 40, 200))
    drawn.lay(behind, PLAIN, {})
    drawn.lay(Part(before.sprite, before.x + 10, before.base, None), PLAIN, {})
    (truth,) = drawn.truths()
    assert truth.visible == pytest.approx(0.5)
    assert truth.box == (30 / 160, 30 / 90, 40 / 160, 40 / 90)


def test_an_object_hidden_for_more_than_three_quarters_is_no_truth() -> None:
    drawn = canvas()
    behind, before = block((200, 40, 40)), block((40, 40, 200))
    drawn.lay(behind, PLAIN, {})
    drawn.lay(Part(before.sprite, before.x + 4, before.base, None), PLAIN, {})
    assert LEAST_VISIBLE > 4 / 20
    assert drawn.truths() == []


def test_a_wake_or_a_shadow_hides_nothing() -> None:
    drawn = canvas()
    drawn.lay(block((200, 40, 40)), PLAIN, {})
    drawn.lay(Part(block((9, 9, 9)).sprite, 30.0, 40.0, None, solid=False), PLAIN, {})
    assert [truth.visible for truth in drawn.truths()] == [1.0]


def test_things_move_smoothly_from_frame_to_frame() -> None:
    scene = HarbourScene(11)
    frames = [scene.render(20 + index / 15)[0].astype(np.int16) for index in range(6)]
    steps = [float(np.abs(b - a).mean()) for a, b in itertools.pairwise(frames)]
    assert max(steps) < 12  # noise and ripples, never a cut
    assert max(steps) < 2 * min(steps)


def test_night_is_darker_than_noon_and_fog_hides_the_far_shore_first() -> None:
    assert sum(light_at(0.0).ambient) < 0.6 * sum(light_at(0.5).ambient)
    scene = HarbourScene(1)
    thick = Weather(0.7, 1.0, 0.0)
    assert scene._fog(thick, scene._layout.horizon) > scene._fog(thick, scene._layout.row(0.8)) > 0


def test_weather_turns_without_a_jump() -> None:
    moments = np.arange(0, 400, 0.5)
    fog = np.array([weather_at(2, float(t)).fog for t in moments])
    assert np.abs(np.diff(fog)).max() < 0.06


def test_the_package_imports_numpy_and_cv2_and_nothing_else_of_ours() -> None:
    folder = Path(harbour_scene.__file__).parent
    roots = {root for file in folder.glob("*.py") for root in imported(ast.parse(file.read_text()))}
    assert {root for root in roots if root.startswith(("agent", "controlplane", "protos", "models"))} == {
        "agent.cameras.harbour_scene"
    }
    assert roots & {"torch", "onnx", "onnxruntime", "av"} == set()


def imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(".".join(node.module.split(".")[:3]) if node.module.startswith("agent") else node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found
