"""Does this picture show anything that moves? A background of small grey pictures, learned as they come.

The method is a running average with a threshold of its own for each pixel, raised where the pixel blinks and lowered
where it is calm, as PBAS and SuBSENSE feed theirs back (Hofmann et al. 2012; St-Charles et al. 2014). Against the usual
faults of a running average:

- waves, leaves, noise: a pixel that blinks is trusted less, until it is calm again;
- a camera that trembles: a pixel may look as any of its neighbours did (Elgammal et al. 2000, section 3.2, here as a
  morphological envelope);
- rain, snow, speckle: a median takes lone pixels away, and a small patch counts only where one was the picture before;
- clouds: the middle difference of the whole picture is taken off where less seems changed by that;
- a lamp, or the camera's infrared filter: where much of the picture changed at once, that is motion once, and all is
  learned anew.

What comes to rest is learned into the background within half a minute; that it leaves is seen then. OpenCV's MOG2 and a
running average as Frigate's were tried on the same harbours, behind the same gate (ADR 0019, bench/bench_gate.py). At
the same recall the first lets 65 % of the frames pass where this lets 77 %, and takes twice as long for a picture that
is still; water keeps the second awake all day. Times are seconds of one clock that only grows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from agent.cameras.gate import Change
from agent.cameras.letterbox import Pixels

SIDE = 240  # pixels, the longer side of what is compared; a person of 12×30 in 640×360 is 4×11 there
LEAST = 10  # grey levels by which a pixel must differ at least
MOST = 120  # and from which on it counts however much it blinks
BLINKED = 10  # levels by which one blink raises that
CALMED_SECONDS = 2.0  # for each level by which calm lowers it
SMALL = 1.4e-4  # of the picture: a patch below it is no thing
LARGE = 7e-4  # from here on it need not have been there before
RELIT = 0.3  # of the picture: where so much changed at once, it is another scene or light
LEARNED_SECONDS = 5.0  # until the background follows what is like it
ABSORBED_SECONDS = 10.0  # and what is not
REFRESH_SECONDS = 0.19  # between updates of the background: it is slow, pictures need not be
GAP_SECONDS = 3.0  # without a picture: what was learned says nothing any more
_NEIGHBOURS = np.ones((3, 3), np.uint8)
_NEAR = np.ones((9, 9), np.uint8)  # how far a small thing may have come since the picture before

Polygon = Sequence[tuple[float, float]]


class MotionDetector:
    """Of one camera: pictures in their order. One of another size, or after a gap, is compared with nothing."""

    def __init__(self, masks: Iterable[Polygon] = ()) -> None:
        """`masks`: polygons, normalised to the picture, in which motion does not count."""
        self._masks = tuple(masks)
        self._shape: tuple[int, ...] = ()
        self._at = -math.inf

    def see(self, grey: Pixels, at: float) -> Change:
        """What `grey` [height, width], taken at `at`, shows."""
        gap, self._at = at - self._at, at
        if grey.shape != self._shape or not 0 <= gap <= GAP_SECONDS:
            return self._start(grey, at)
        changed = self._changed(grey)
        if cv2.countNonZero(changed) > RELIT * self._watched:
            return self._start(grey, at)
        if at - self._refreshed >= REFRESH_SECONDS:
            self._learn(grey, changed, at)
        return Change.MOTION if self._is_a_thing(changed) else Change.STILL

    def forget(self) -> None:
        """The next picture may be of another place."""
        self._shape = ()

    def _start(self, grey: Pixels, at: float) -> Change:
        self._shape = grey.shape
        self._mean = grey.astype(np.float32)
        self._reach = np.full(grey.shape, LEAST, np.uint8)
        self._blinking = np.zeros(grey.shape, np.uint8)
        self._patches = np.zeros(grey.shape, np.uint8)
        self._keep = _outside(self._masks, grey.shape)
        self._watched = cv2.countNonZero(self._keep)
        self._refreshed, self._calmed = at, at
        self._bound()
        return Change.ANEW

    def _changed(self, grey: Pixels) -> Pixels:
        """255 where a pixel is darker or lighter than its background may be, under whichever light explains more."""
        changed = self._beyond(grey)
        shift = round(float(np.median(grey[::6, ::6].astype(np.int16) - self._sampled)))
        if not shift:
            return changed
        level = self._beyond(np.asarray(cv2.add(grey, (float(-shift), 0, 0, 0)), np.uint8))
        return min(changed, level, key=cv2.countNonZero)

    def _beyond(self, grey: Pixels) -> Pixels:
        within = cv2.inRange(grey, self._lowest, self._highest)
        return np.asarray(cv2.bitwise_and(cv2.bitwise_not(within), self._keep), np.uint8)

    def _is_a_thing(self, changed: Pixels) -> bool:
        """A large patch, or a small one near to where one was in the picture before."""
        before, self._patches = self._patches, np.asarray(cv2.medianBlur(changed, 3), np.uint8)
        small, large = SMALL * changed.size, LARGE * changed.size
        if cv2.countNonZero(self._patches) < small:
            return False
        _, labels, stats, _ = cv2.connectedComponentsWithStats(self._patches)
        areas = stats[:, cv2.CC_STAT_AREA]
        areas[0] = 0  # what is no patch
        if areas.max() >= large:
            return True
        patches = np.where(areas >= small, 255, 0).astype(np.uint8)[labels]
        return cv2.countNonZero(cv2.bitwise_and(patches, cv2.dilate(before, _NEAR))) >= small

    def _learn(self, grey: Pixels, changed: Pixels, at: float) -> None:
        """Towards this picture: fast where it is as expected, slowly where something is in the way."""
        passed, self._refreshed = at - self._refreshed, at
        for seconds, where in ((LEARNED_SECONDS, cv2.bitwise_not(changed)), (ABSORBED_SECONDS, changed)):
            cv2.accumulateWeighted(grey, self._mean, 1 - math.exp(-passed / seconds), where)
        blinked = cv2.bitwise_xor(changed, self._blinking)
        self._blinking = changed
        cv2.add(self._reach, (float(BLINKED), 0, 0, 0), self._reach, blinked)
        calm = int((at - self._calmed) / CALMED_SECONDS)
        if calm:
            self._calmed += calm * CALMED_SECONDS
            cv2.subtract(self._reach, (float(calm), 0, 0, 0), self._reach)
        np.clip(self._reach, LEAST, MOST, out=self._reach)
        self._bound()

    def _bound(self) -> None:
        """What each pixel may be: as its neighbourhood is, give or take its reach."""
        mean = cv2.convertScaleAbs(self._mean)
        self._lowest = cv2.subtract(cv2.erode(mean, _NEIGHBOURS), self._reach)
        self._highest = cv2.add(cv2.dilate(mean, _NEIGHBOURS), self._reach)
        self._sampled = mean[::6, ::6].astype(np.int16)


def _outside(masks: Iterable[Polygon], shape: tuple[int, ...]) -> Pixels:
    """255 where motion counts."""
    keep = np.full(shape, 255, np.uint8)
    size = np.array([shape[1], shape[0]], np.float32)
    for corners in masks:
        cv2.fillPoly(keep, [np.round(np.array(corners, np.float32) * size).astype(np.int32)], (0,))
    return keep
