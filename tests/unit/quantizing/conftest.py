"""Frames and a model on disk, small enough to quantise in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from controlplane.quantizing.frames import Frame
from tests.sim.models import layered

SIDE = 32


def plain(count: int, seed: int = 0) -> list[Frame]:
    """Pictures of one grey each, from half to full brightness."""
    greys = np.random.default_rng(seed).integers(128, 256, count)
    pixels = (np.full((SIDE, SIDE, 3), grey, np.uint8) for grey in greys)
    return [Frame(str(number), each, (0.0, 0.0, 1.0, 1.0)) for number, each in enumerate(pixels)]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "sound.onnx"
    path.write_bytes(layered().spec.model)
    return path


@pytest.fixture
def loud(tmp_path: Path) -> Path:
    """Int8 ruins it."""
    path = tmp_path / "loud.onnx"
    path.write_bytes(layered(1e5).spec.model)
    return path
