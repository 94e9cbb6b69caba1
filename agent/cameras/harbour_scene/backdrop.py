"""What lies behind every object: sky, clouds, hills, town, breakwater, lighthouse and the body of the water.

Rules that hold here: the backdrop holds no object of any class; it is painted in the colours of one `Light` and kept
by the scene for a second of scene time, so it may cost a few milliseconds; shapes are drawn once per seed.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.cameras.harbour_scene.light import RGB, SUNRISE, SUNSET, Light, Weather
from agent.cameras.harbour_scene.sprites import Pixels

Field = NDArray[np.float32]
LIT_WINDOW = (255, 204, 120)


def fractal(rng: np.random.Generator, width: int, height: int, cells: tuple[int, int], octaves: int = 4) -> Field:
    """Smooth noise 0..1 that repeats across its width, so that it can scroll for ever."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        across, down = cells[0] * 2**octave, cells[1] * 2**octave
        coarse = rng.random((down + 1, across), dtype=np.float32)
        wrapped = np.concatenate([coarse, coarse[:, :2]], axis=1)
        fine = cv2.resize(wrapped, (width * (across + 2) // across, height), interpolation=cv2.INTER_CUBIC)
        total += fine[:, width // across : width // across + width] / 2**octave
    low, high = float(total.min()), float(total.max())
    level: Field = (total - low) / (high - low)
    return level


def _mix(one: RGB, other: RGB, share: float) -> RGB:
    red, green, blue = (a * (1 - share) + b * share for a, b in zip(one, other, strict=True))
    return red, green, blue


def _tinted(colour: RGB, ambient: RGB) -> RGB:
    red, green, blue = (c * a for c, a in zip(colour, ambient, strict=True))
    return red, green, blue


class Backdrop:
    """The far part of one seed's harbour, `horizon` picture rows of sky above water down to `quay`."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], horizon: int, quay: int) -> None:
        self._width, self._height = size
        self._horizon, self._quay = horizon, quay
        self._unit = size[1] / 360
        self._clouds = fractal(rng, 2 * self._width, horizon, (5, 3), 5)
        self._ridges = [self._ridge(rng, low, high) for low, high in ((0.16, 0.34), (0.05, 0.2))]
        self._town = self._houses(rng)
        self._light_x = float(rng.uniform(0.08, 0.92)) * self._width
        self._sun_x = float(rng.uniform(0.1, 0.9)) * self._width
        self._stars = rng.random((40, 2))

    def paint(self, light: Light, weather: Weather, phase: float, t: float) -> Pixels:
        """A whole picture, of which the part below the quay's edge is left to the quay."""
        picture = np.zeros((self._height, self._width, 3), np.uint8)
        picture[: self._horizon] = self._sky(light, weather, phase, t)
        self._shore(picture, light)
        picture[self._horizon : self._quay + 8] = self._water(light, phase)
        return picture

    def beacon(self) -> tuple[int, int]:
        """Where the lamp of the lighthouse is."""
        return round(self._light_x), self._horizon - round(30 * self._unit)

    def _sky(self, light: Light, weather: Weather, phase: float, t: float) -> Pixels:
        rows = np.linspace(0, 1, self._horizon, dtype=np.float32)[:, None] ** 1.3
        column = np.array(light.zenith) * (1 - rows) + np.array(light.horizon) * rows
        sky = np.repeat(column[:, None, :].astype(np.float32), self._width, axis=1)
        self._sun(sky, light, phase, 1 - weather.cloud * 0.6)
        if light.night[0] > 0.7:
            for x, y in self._stars * (self._width, self._horizon * 0.7):
                sky[int(y), int(x)] += 90 * (1 - weather.cloud)
        start = int(t * 2.0 * self._unit) % self._width
        cover = np.clip((self._clouds[:, start : start + self._width] - (0.92 - 0.6 * weather.cloud)) * 3.2, 0, 0.86)
        white = np.array(_mix(_tinted((250, 250, 252), light.ambient), light.horizon, 0.35), np.float32)
        sky += (white - sky) * cover[:, :, None]
        return np.asarray(np.clip(sky, 0, 255), np.uint8)

    def _sun(self, sky: Field, light: Light, phase: float, strength: float) -> None:
        """The sun crosses from dawn to dusk; at night the moon stands where the sun stood at noon."""
        day = (phase - SUNRISE) / (SUNSET - SUNRISE)
        up = np.sin(np.pi * day) if 0 < day < 1 else 0.75
        x, y = self._sun_x, self._horizon * (1.02 - 0.95 * up)
        yy, xx = np.ogrid[: self._horizon, : self._width]
        away = np.sqrt(((xx - x) ** 2 + (yy - y) ** 2).astype(np.float32)) / self._unit
        if 0 < day < 1:
            glow = (200 * np.exp(-away / 9) + 70 * np.exp(-away / 70)) * strength
            warm = np.array(_mix((255, 236, 190), light.horizon, 0.4), np.float32) / 255
            sky += glow[:, :, None] * warm
        else:
            moon = np.clip(8 - away, 0, 1) * 190 + 40 * np.exp(-away / 20)
            sky += (moon * strength)[:, :, None] * np.array([0.95, 0.97, 1.0], np.float32)

    def _ridge(self, rng: np.random.Generator, low: float, high: float) -> NDArray[np.int32]:
        xs = np.linspace(0, self._width, 50)
        waves = sum(np.sin(xs / self._width * f + rng.uniform(0, 6.3)) / f for f in (3.0, 7.0, 13.0, 29.0))
        waves = np.asarray(waves)
        share = (waves - waves.min()) / np.ptp(waves)
        ys = self._horizon * (1 - low - (high - low) * share)
        top = np.stack([xs, ys], axis=1)
        return np.vstack([top, [[self._width, self._horizon], [0, self._horizon]]]).astype(np.int32)

    def _houses(self, rng: np.random.Generator) -> list[tuple[int, int, int, bool]]:
        """x, width and height of the town's buildings, and whether somebody is home."""
        x, houses = float(rng.uniform(0, 0.5)) * self._width, []
        end = x + float(rng.uniform(0.3, 0.55)) * self._width
        while x < end:
            wide = float(rng.uniform(5, 13)) * self._unit
            tall = float(rng.gamma(3.0, 3.2)) * self._unit + 4
            houses.append((int(x), int(wide), int(min(tall, self._horizon * 0.4)), bool(rng.random() < 0.8)))
            x += wide + float(rng.choice([0, 0, 1, 5])) * self._unit
        return houses

    def _shore(self, picture: Pixels, light: Light) -> None:
        for ridge, colour, haze in zip(self._ridges, ((70, 96, 112), (58, 88, 74)), (0.62, 0.4), strict=True):
            cv2.fillPoly(picture, [ridge], _mix(_tinted(colour, light.ambient), light.horizon, haze), cv2.LINE_AA)
        wall = _mix(_tinted((150, 146, 150), light.ambient), light.horizon, 0.5)
        lit = _mix(wall, LIT_WINDOW, 0.75 * light.night[0])
        for index, (x, wide, tall, home) in enumerate(self._town):
            tone = _mix(wall, (0, 0, 0), 0.06 * (index % 4))
            cv2.rectangle(picture, (x, self._horizon - tall), (x + wide, self._horizon), tone, -1)
            if home and light.night[0] > 0.1:
                picture[self._horizon - tall + 2 : self._horizon - 2 : 4, x + 1 : x + wide - 1 : 3] = lit
        self._lighthouse(picture, light)

    def _lighthouse(self, picture: Pixels, light: Light) -> None:
        base, x, unit = self._horizon, round(self._light_x), self._unit
        stone = _mix(_tinted((120, 116, 110), light.ambient), light.horizon, 0.2)
        reach = round(90 * unit)
        mole = np.array([(x - reach, base + 2), (x - reach + 8, base - 4), (x + 10, base - 5), (x + 16, base + 2)])
        cv2.fillPoly(picture, [mole.astype(np.int32)], stone, cv2.LINE_AA)
        for index in range(4):
            tone = _tinted((236, 236, 232) if index % 2 else (198, 52, 46), light.ambient)
            top, half = base - round((5 + 6 * (index + 1)) * unit), round((4 - 0.5 * index) * unit)
            cv2.rectangle(picture, (x - half, top), (x + half, top + round(6 * unit)), tone, -1)

    def _water(self, light: Light, phase: float) -> Pixels:
        """Far water mirrors the horizon, near water shows its own colour; the low sun leaves a road on it."""
        rows = np.linspace(0, 1, self._quay + 8 - self._horizon, dtype=np.float32)[:, None] ** 0.6
        column = np.array(_mix(light.horizon, light.water, 0.35)) * (1 - rows) + np.array(light.water) * rows
        water = np.repeat(column[:, None, :].astype(np.float32), self._width, axis=1)
        if SUNRISE < phase < SUNSET:
            xx = (np.arange(self._width, dtype=np.float32) - self._sun_x) / (26 * self._unit)
            road = np.exp(-((xx[None, :] / (0.7 + rows * 2)) ** 2)) * (1 - 0.6 * rows)
            water += road[:, :, None] * np.array(light.horizon, np.float32) * 0.28
        return np.asarray(np.clip(water, 0, 255), np.uint8)
