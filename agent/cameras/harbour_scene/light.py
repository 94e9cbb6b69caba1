"""Light and weather as functions of time: no state, no clock, values only.

Rules that hold here: a day lasts DAY seconds and begins at a phase drawn from the seed; weather changes every SPELL
seconds and crosses over smoothly; night never falls below the light in which an object is still there to be seen.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

SUNRISE, SUNSET = 0.10, 0.90  # phases of the day
DAY = 900.0  # seconds from midnight to midnight
SPELL = 90.0  # seconds of one weather
CROSSING = 0.2  # the part of a spell in which it turns into the next
RGB = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Light:
    """Colours are 0..255 as they reach the picture; `ambient` multiplies the paint of lit things."""

    ambient: RGB
    zenith: RGB
    horizon: RGB
    water: RGB
    night: RGB  # the same number three times: 0 by day, 1 when every lamp burns


@dataclass(frozen=True, slots=True)
class Weather:
    """Each 0..1."""

    cloud: float
    fog: float
    rain: float


_NIGHT = Light((0.42, 0.47, 0.64), (9, 14, 34), (30, 44, 78), (12, 26, 44), (1, 1, 1))
_DAWN = Light((0.82, 0.70, 0.70), (70, 96, 150), (250, 178, 138), (84, 96, 122), (0.45, 0.45, 0.45))
_MORNING = Light((1.00, 0.97, 0.92), (84, 150, 216), (212, 228, 236), (38, 104, 132), (0, 0, 0))
_NOON = Light((1.04, 1.03, 1.00), (58, 132, 212), (188, 218, 238), (26, 102, 136), (0, 0, 0))
_GOLD = Light((1.04, 0.92, 0.76), (92, 136, 190), (252, 214, 158), (58, 100, 118), (0, 0, 0))
_DUSK = Light((0.72, 0.56, 0.60), (58, 58, 116), (246, 134, 92), (76, 66, 94), (0.6, 0.6, 0.6))
_HOURS = (0.0, 0.07, 0.13, 0.20, 0.50, 0.76, 0.86, 0.93, 1.0)
_LIGHTS = (_NIGHT, _NIGHT, _DAWN, _MORNING, _NOON, _GOLD, _DUSK, _NIGHT, _NIGHT)

_CLEAR, _CLOUDY = Weather(0.35, 0.0, 0.0), Weather(0.8, 0.08, 0.0)
_FOG, _RAIN = Weather(0.75, 1.0, 0.0), Weather(0.95, 0.3, 1.0)
_SPELLS = (_CLEAR, _CLEAR, _CLEAR, _CLOUDY, _CLOUDY, _FOG, _RAIN, _RAIN)


def light_at(phase: float) -> Light:
    """The light at a phase of the day, 0 and 1 being midnight."""
    table = np.array([[getattr(light, field.name) for field in fields(Light)] for light in _LIGHTS])
    return Light(*(_at(phase, table[:, index]) for index in range(table.shape[1])))


def _at(phase: float, column: NDArray[np.float64]) -> RGB:
    red, green, blue = (float(np.interp(phase % 1.0, _HOURS, column[:, channel])) for channel in range(3))
    return red, green, blue


def weather_at(seed: int, t: float) -> Weather:
    """The weather of this seed at time t."""
    spell, part = divmod(t / SPELL, 1.0)
    now, then = _spell(seed, int(spell)), _spell(seed, int(spell) + 1)
    share = float(np.clip((part - 1 + CROSSING) / CROSSING, 0.0, 1.0))
    share = share * share * (3 - 2 * share)
    return Weather(*(getattr(now, f.name) * (1 - share) + getattr(then, f.name) * share for f in fields(Weather)))


def _spell(seed: int, index: int) -> Weather:
    rng = np.random.default_rng((seed, index + 1_000, 7))
    chosen = _SPELLS[int(rng.integers(len(_SPELLS)))]
    strength = rng.uniform(0.55, 1.0, 3)
    return Weather(chosen.cloud * strength[0], chosen.fog * strength[1], chosen.rain * strength[2])


def overcast(light: Light, weather: Weather) -> Light:
    """Clouds and rain take colour out of the light and drain the sky towards grey."""
    grey = 0.75 * max(weather.rain, 0.7 * weather.fog, 0.6 * max(0.0, weather.cloud - 0.45))
    dim = 1.0 - 0.22 * weather.rain - 0.10 * weather.cloud * grey

    def drain(colour: RGB, tone: float) -> RGB:
        level = sum(colour) / 3 * tone
        red, green, blue = (channel * (1 - grey) + level * grey for channel in colour)
        return red, green, blue

    ambient = drain(light.ambient, dim)
    night = float(np.clip(light.night[0] + 0.25 * weather.rain + 0.15 * weather.fog, 0.0, 1.0))
    return Light(ambient, drain(light.zenith, 0.96), drain(light.horizon, 0.92), drain(light.water, 0.95), (night,) * 3)
