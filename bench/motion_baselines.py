"""What the motion gate is compared with: two published detectors as they are usually set up. Pictures in, motion out.

Neither is part of the product. Both are given the same small pictures as ours, and the same gate behind them.
"""

from __future__ import annotations

import cv2
import numpy as np

from agent.cameras.gate import Change
from agent.cameras.letterbox import Pixels

_NEIGHBOURS = np.ones((3, 3), np.uint8)


class Mog2:
    """OpenCV's mixture of Gaussians (Zivkovic 2004), opened by 3×3, with patches as small as ours counting."""

    SMALL = 5  # pixels

    def __init__(self) -> None:
        self._model = cv2.createBackgroundSubtractorMOG2(history=100, varThreshold=25, detectShadows=False)
        self._first = True

    def see(self, grey: Pixels, at: float) -> Change:
        del at
        found = cv2.morphologyEx(self._model.apply(cv2.medianBlur(grey, 3)), cv2.MORPH_OPEN, _NEIGHBOURS)
        first, self._first = self._first, False
        if first:
            return Change.ANEW
        return Change.MOTION if cv2.countNonZero(found) >= self.SMALL else Change.STILL


class RunningAverage:
    """A running average with one threshold, after Frigate's defaults: 100 rows, contrast stretched, contours of 10."""

    ROWS, THRESHOLD, AREA, WEIGHT = 100, 30, 10, 0.01

    def __init__(self) -> None:
        self._mean: cv2.typing.MatLike | None = None

    def see(self, grey: Pixels, at: float) -> Change:
        del at
        height, width = grey.shape
        small = cv2.resize(grey, (width * self.ROWS // height, self.ROWS), interpolation=cv2.INTER_LINEAR)
        low, high = np.percentile(small, (4, 96))
        stretched = np.clip((small - low) * (255 / max(1.0, high - low)), 0, 255).astype(np.uint8)
        blurred = cv2.GaussianBlur(stretched, (3, 3), 0)
        if self._mean is None:
            self._mean = blurred.astype(np.float32)
            return Change.ANEW
        away = cv2.absdiff(blurred, cv2.convertScaleAbs(self._mean))
        cv2.accumulateWeighted(blurred, self._mean, self.WEIGHT)
        found = cv2.dilate(cv2.threshold(away, self.THRESHOLD, 255, cv2.THRESH_BINARY)[1], _NEIGHBOURS)
        contours, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        return Change.MOTION if any(cv2.contourArea(each) > self.AREA for each in contours) else Change.STILL
