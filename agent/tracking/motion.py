"""Where a thing is expected at any moment: a Kalman filter with constant velocity over time steps of any length. Pure.

State is kept in shares of the picture; its uncertainty in shares of the thing's own size, so that one covariance of
position and velocity serves both directions and costs a dozen multiplications. Expecting changes nothing: only what
was seen does, so a lost frame, a changed rate and a long occlusion are all the same to it.

Source: R. E. Kalman, "A New Approach to Linear Filtering and Prediction Problems", 1960; boxes as its state after
Bewley et al., "Simple Online and Realtime Tracking", 2016, arXiv:1602.00763.
"""

from __future__ import annotations

from agent.types import Box

Area = tuple[float, float, float, float]  # x0, y0, x1, y1, shares of the picture
# Chosen on bench/bench_tracking.py's scenes:
_SEEN = 0.08**2  # variance of a detector's boxes, in sizes²: more than it is, because some are cut off
_SIZE = 0.3  # of the gain of its place: a size changes slowly, and a box that is cut off is no smaller thing
_STILL = 1.0  # variance of the speed of a thing seen once, in (sizes/s)²
_TURNS = 0.3  # how fast speeds change: spectral density of acceleration, in sizes²/s³


class Motion:
    """Of one thing. `seen`: when it was seen last, in seconds of capture."""

    __slots__ = ("_high", "_p", "_pv", "_v", "_vx", "_vy", "_wide", "_x", "_y", "seen")

    def __init__(self, box: Box, seen: float) -> None:
        self.seen = seen
        self._x, self._y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
        self._wide, self._high = box.x1 - box.x0, box.y1 - box.y0
        self._vx = self._vy = 0.0
        self._p, self._pv, self._v = _SEEN, 0.0, _STILL  # position, both, velocity

    @property
    def was(self) -> Area:
        """Where it was when it was seen last."""
        wide, high = self._wide / 2, self._high / 2
        return self._x - wide, self._y - high, self._x + wide, self._y + high

    def at(self, moment: float) -> tuple[Area, float]:
        """Where it is expected, and how far off that may be: a standard deviation, in its own sizes."""
        step = moment - self.seen
        x, y = self._x + self._vx * step, self._y + self._vy * step
        wide, high = self._wide / 2, self._high / 2
        step = abs(step)  # it may be asked for a moment before, too
        spread = self._p + step * (2 * self._pv + step * (self._v + step * _TURNS / 3))
        return (x - wide, y - high, x + wide, y + high), float(spread**0.5)

    def saw(self, box: Box, moment: float) -> None:
        """It was seen there then, which is after it was seen last."""
        step = moment - self.seen
        p = self._p + step * (2 * self._pv + step * (self._v + step * _TURNS / 3))
        pv = self._pv + step * (self._v + step * _TURNS / 2)
        v = self._v + step * _TURNS
        gain, gain_v = p / (p + _SEEN), pv / (p + _SEEN)
        self._p, self._pv, self._v = (1 - gain) * p, (1 - gain) * pv, v - gain_v * pv
        off_x = (box.x0 + box.x1) / 2 - self._x - self._vx * step
        off_y = (box.y0 + box.y1) / 2 - self._y - self._vy * step
        self._x += self._vx * step + gain * off_x
        self._y += self._vy * step + gain * off_y
        self._vx += gain_v * off_x
        self._vy += gain_v * off_y
        self._wide += _SIZE * gain * (box.x1 - box.x0 - self._wide)
        self._high += _SIZE * gain * (box.y1 - box.y0 - self._high)
        self.seen = moment
