"""One harbour, drawn for any moment: `HarbourScene(seed).render(t)` gives the picture and what is truly in it.

Rules that hold here: the picture is a function of (seed, t) and of nothing else; things are drawn from the horizon to
the front; light and weather are held for one second of scene time, which keeps a frame within a few milliseconds.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from agent.cameras.harbour_scene import effects, motion, quay
from agent.cameras.harbour_scene.backdrop import Backdrop
from agent.cameras.harbour_scene.canvas import Canvas, Films, Tint, Truth
from agent.cameras.harbour_scene.light import DAY, RGB, Light, Weather, light_at, overcast, weather_at
from agent.cameras.harbour_scene.motion import Part, Thing
from agent.cameras.harbour_scene.sprites import Film, Pixels

CLASSES = ("boat", "container", "truck", "person")
STREAM = 20_261_123  # keeps the numbers drawn for a harbour apart from other uses of the same seed
THICKEST = 0.72  # of the densest fog: what it leaves of a boat at the horizon can still be made out
LAMPS_ON = 0.05  # of a whole night


@dataclass(frozen=True)
class _Mood:
    """Everything that light and weather decide, for one second."""

    light: Light
    weather: Weather
    backdrop: Pixels
    quay: Film
    crests: Pixels
    troughs: Pixels
    films: Films = field(default_factory=dict)


class HarbourScene:
    def __init__(self, seed: int, width: int = 640, height: int = 360) -> None:
        self._seed = seed
        rng = np.random.default_rng((seed, STREAM))
        horizon, edge = (round(float(rng.uniform(*span)) * height) for span in ((0.25, 0.31), (0.58, 0.64)))
        self._layout = layout = quay.Layout(width, height, height / 360, horizon, edge)
        self._backdrop = Backdrop(rng, (width, height), horizon, edge)
        self._quay = quay.build(rng, layout)
        self._boats = motion.fleet(rng, layout)
        self._ashore = _ashore(rng, layout, self._quay)
        self._dawn = float(rng.uniform(0.24, 0.78))  # the phase of the day at t = 0: people look at it first by day
        self._noise = effects.noise(width, height, int(rng.integers(3, 8)))
        self._rain = effects.streaks(width, height)
        self._waves = effects.waves(rng, layout)
        self._pools = effects.pools(layout, self._quay.lamps)
        self._lamplit = effects.lamplit(self._quay.paint, self._pools)
        self._halo = effects.halo(round(26 * layout.unit))
        self._through = Film.of(self._quay.paint).through
        self._mood: tuple[int, _Mood] | None = None

    def render(self, t: float) -> tuple[Pixels, list[Truth]]:
        """The picture (height, width, 3; RGB) and its truth at `t` seconds."""
        mood = self._mood_at(t)
        canvas = Canvas(mood.backdrop.copy())
        self._shimmer(canvas.picture, mood, t)
        for boat in self._boats:
            self._draw(canvas, boat, mood, t)
        canvas.lay_quay(self._quay, mood.quay, self._layout.edge)
        for thing in self._ashore:
            self._draw(canvas, thing, mood, t)
        self._finish(canvas, mood, t)
        return canvas.picture, canvas.truths()

    def _mood_at(self, t: float) -> _Mood:
        second = int(np.floor(t))
        if self._mood is None or self._mood[0] != second:
            self._mood = (second, self._new_mood(float(second)))
        return self._mood[1]

    def _new_mood(self, t: float) -> _Mood:
        phase = (self._dawn + t / DAY) % 1.0
        weather = weather_at(self._seed, t)
        light = overcast(light_at(phase), weather)
        backdrop = self._backdrop.paint(light, weather, phase, t)
        self._veil(backdrop, light, weather)
        lift = 0.45 + 0.55 * sum(light.water) / 300 + 0.1 * weather.rain
        tone = np.array(light.horizon, np.float32)[:, None] / 255 * lift
        crests, troughs = (cv2.transform(wave, tone) for wave in self._waves)
        return _Mood(light, weather, backdrop, self._lit_quay(light, weather), crests, troughs)

    def _fog(self, weather: Weather, row: float) -> float:
        """How much of a thing standing on this picture row the air hides: most at the horizon."""
        far = (self._layout.height - row) / (self._layout.height - self._layout.horizon)
        return THICKEST * weather.fog * float(min(1.0, max(0.0, far)) ** 1.1)

    def _veil(self, backdrop: Pixels, light: Light, weather: Weather) -> None:
        if weather.fog < 0.02:
            return
        for row in range(self._layout.edge):
            thick = self._fog(weather, row)
            grey = [tone * 0.96 * thick for tone in light.horizon]
            cv2.addWeighted(backdrop[row], 1 - thick, backdrop[row], 0, 0, backdrop[row])
            cv2.add(backdrop[row], (*grey, 0), backdrop[row])

    def _lit_quay(self, light: Light, weather: Weather) -> Film:
        fog = self._fog(weather, self._layout.row(0.2))
        lit = cv2.transform(self._quay.paint, _tint(light, light.ambient, fog)[:3])
        if light.night[0]:
            lit = cv2.addWeighted(lit, 1.0, self._lamplit, light.night[0] * (1 - fog), 0.0)
        return Film(self._through, lit)

    def _shimmer(self, picture: Pixels, mood: _Mood, t: float) -> None:
        """Two trains of waves run through each other."""
        layout = self._layout
        water = picture[layout.horizon : layout.edge]
        for wave, speed, act in ((mood.crests, 9.0, cv2.add), (mood.troughs, -6.0, cv2.subtract)):
            start = int(t * speed * layout.unit) % layout.width
            act(water, wave[:, start : start + layout.width], water)

    def _draw(self, canvas: Canvas, thing: Thing, mood: _Mood, t: float) -> None:
        parts, night = thing.placed(t), mood.light.night[0]
        tint = self._tinted(mood, parts[-1], thing.depth)
        for part in parts:
            canvas.lay(part, tint, mood.films)
            if part.sprite.lights is not None and night > LAMPS_ON:
                strength = night * (1 - 0.6 * self._fog(mood.weather, part.base))
                canvas.shine(part.sprite.lights, part.x, part.base - part.sprite.size[1], strength)

    def _tinted(self, mood: _Mood, part: Part, depth: float) -> Tint:
        """The light this part stands in, lamps included, then the air between it and the camera."""
        layout, ambient, night = self._layout, mood.light.ambient, mood.light.night[0]
        if night and depth >= layout.edge:
            column = min(layout.width - 1, max(0, round(part.x + part.sprite.size[0] / 2)))
            pool = night * float(self._pools[min(layout.height - 1, round(depth)), column])
            red, green, blue = effects.WARM
            ambient = (ambient[0] + pool * red, ambient[1] + pool * green, ambient[2] + pool * blue)
        return _tint(mood.light, ambient, self._fog(mood.weather, depth or layout.row(0.2)))

    def _finish(self, canvas: Canvas, mood: _Mood, t: float) -> None:
        """Lamps, rain, and what the sensor adds."""
        tick = np.random.default_rng((self._seed, round(t * 1000) % 2**32))
        if mood.light.night[0] > LAMPS_ON:
            self._glow(canvas, mood.light.night[0], t)
        picture, rain = canvas.picture, mood.weather.rain
        height, width = picture.shape[:2]
        if rain > 0.05:
            tile, start = self._rain[int(tick.integers(len(self._rain)))], int(tick.integers(width))
            cv2.addWeighted(picture, 1 - 0.08 * rain, tile[:, start : start + width], 0.6 * rain, 0.0, picture)
        dx, dy = int(tick.integers(64)), int(tick.integers(64))
        lighter, darker = (grain[dy : dy + height, dx : dx + width] for grain in self._noise)
        cv2.add(picture, lighter, picture)
        cv2.subtract(picture, darker, picture)

    def _glow(self, canvas: Canvas, night: float, t: float) -> None:
        """The lamps over the quay, and the lighthouse, which turns once in five seconds."""
        turn = 0.5 + 0.5 * float(np.cos(2 * np.pi * t / 5))
        half = self._halo.shape[0] // 2
        for x, y, share in (*((*lamp, 1.0) for lamp in self._quay.lamps), (*self._backdrop.beacon(), turn**6)):
            canvas.shine(self._halo, x - half, y - half, night * share)


def random_scene(seed: int, width: int = 640, height: int = 360) -> tuple[Pixels, list[Truth]]:
    """One still of one harbour at one moment of four days, all three drawn from the seed."""
    moment = float(np.random.default_rng((seed, 4)).uniform(0.0, 4 * DAY))
    return HarbourScene(seed, width, height).render(moment)


def _ashore(rng: np.random.Generator, layout: quay.Layout, built: quay.Quay) -> list[Thing]:
    """Everything on the quay that is not part of it, by depth."""
    things: list[Thing] = [*motion.traffic(rng, layout), *motion.crowd(rng, layout), *motion.furniture(rng, layout)]
    return sorted([motion.load(rng, layout, built.trolley), *things], key=lambda thing: thing.depth)


def _tint(light: Light, ambient: RGB, fog: float) -> Tint:
    """The matrix from premultiplied paint to premultiplied picture: lit by `ambient`, veiled by `fog`."""
    red, green, blue = (tone * 0.96 / 255 * fog for tone in light.horizon)
    clear = 1 - fog
    return np.array(
        [
            [ambient[0] * clear, 0, 0, red],
            [0, ambient[1] * clear, 0, green],
            [0, 0, ambient[2] * clear, blue],
            [0, 0, 0, 1],
        ],
        np.float32,
    )
