"""Pictures of the drawn harbour with its truth drawn in, as a box's preview would be."""

from __future__ import annotations

from agent.cameras.drawing import Drawn, preview
from agent.cameras.harbour_scene.scene import HarbourScene
from agent.cameras.letterbox import Pixels, resize_rgb
from agent.types import Box


class StillPicture:
    """See agent.cameras.source.Picture, as far as a preview needs it."""

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels
        self.height, self.width = pixels.shape[:2]

    def rgb(self, max_side: int) -> Pixels:
        if max_side >= self.width:
            return self._pixels.copy()
        return resize_rgb(self._pixels, round(self.height * max_side / self.width), max_side)


def annotated(scene: HarbourScene, t: float, caption: str) -> bytes:
    """JPEG of the scene at `t` seconds."""
    pixels, truths = scene.render(t)
    boxes = [Box(*truth.box, 0.5 + truth.visible * 0.48, truth.label) for truth in truths if truth.visible > 0.35]
    return preview(StillPicture(pixels), Drawn(boxes, caption), 640)  # type: ignore[arg-type]  # `fit` is not needed here
