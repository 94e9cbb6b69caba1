"""The processes of this bench on their cores, and windows played on them."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from agent.cameras.harbour_scene import CLASSES
from agent.simulation import world as worlds
from agent.simulation.contender import Known
from agent.simulation.world import World
from bench.decision_real import fitting, pool, scenes
from bench.decision_real.around import Around
from bench.decision_real.children import Child, child
from bench.decision_real.figures import Played
from bench.decision_real.fitting import Fit
from bench.decision_real.messages import Begin, Ended, Opened, Recorded, Serving, Window
from bench.decision_real.scenes import BoxFacts, Scene
from bench.decision_real.shaper import OPEN, Shaper

BOX, NODE = "bench.decision_real.box", "bench.decision_real.node"
LEAD = 0.6  # seconds from the order until a window begins
FIT_SEED = 900  # of the first window that is only measured


@dataclass
class Stage:
    """Made by `standing`."""

    box: Child
    node: Child
    link: Shaper
    port: int  # of the link
    opened: Opened
    cores: frozenset[int]
    pids: tuple[int, ...]

    @property
    def facts(self) -> BoxFacts:
        """As warmed, until it was measured under load."""
        seen = [right for right, score in zip(self.opened.right, self.opened.scores, strict=True) if score > 0]
        local = min(0.95, max(0.05, fmean(seen)))
        return BoxFacts(self.opened.call_seconds, local, round(median(self.opened.nbytes)))

    async def play(self, world: World, shown: Sequence[int], told: Known) -> tuple[Ended, float]:
        """A window in real time; what came of it, and what others took of the cores meanwhile."""
        start, spell = time.monotonic() + LEAD, world.scenario.brownout
        self.link.follow(world.trace, start)
        await self.node.ask(Begin(start + spell.since, start + spell.until, spell.extra), dict)
        captured, camera = world.captured.tolist(), world.camera.tolist()
        around = Around(self.cores, self.pids)
        wanted = Window(start, world.seed, self.port, told, captured, camera, list(shown))
        ended = await self.box.ask(wanted, Ended, 60.0 + world.scenario.seconds)
        foreign = around.foreign()
        self.link.follow(OPEN, start)
        return ended, foreign

    async def window(self, scene: Scene, seconds: float, seed: int, facts: BoxFacts, fit: Fit) -> Played:
        """Played, then foretold: nothing but the window runs while it does."""
        world, shown = self._drawn(scene, seconds, seed, facts, fit.call)
        ended, foreign = await self.play(world, shown, fitting.known(world.scenario, self.opened))
        said = fitting.predicted(world, fit, self.opened, shown)
        own = fitting.predicted(world, self._fitted(ended, world, fit), self.opened, shown)
        cut = scene.during(seconds) if scene.kind == "cut" else (0.0, 0.0)
        overdue = max(at - due for at, due in zip(ended.at, world.deadline.tolist(), strict=True))
        return Played(scene.name, seed, foreign, ended, said, own, overdue, cut)

    async def fit(self, scene: Scene, seconds: float, facts: BoxFacts, call: float, tries: int) -> tuple[Fit, float]:
        """Of the quietest of a few windows; and what others took of the cores in it."""
        found: list[tuple[float, Fit]] = []
        for number in range(tries):
            world, shown = self._drawn(scene, seconds, FIT_SEED + number, facts, call)
            ended, foreign = await self.play(world, shown, fitting.known(world.scenario, self.opened))
            found.append((foreign, self._fitted(ended, world, Fit((call,), (0.0,)))))
        foreign, fit = min(found, key=lambda each: each[0])
        return fit, foreign

    def _fitted(self, ended: Ended, world: World, otherwise: Fit) -> Fit:
        more = fitting.beyond(ended, world)
        return Fit(tuple(ended.calls) or otherwise.calls, tuple(more) or otherwise.beyond)

    def _drawn(self, scene: Scene, seconds: float, seed: int, facts: BoxFacts, call: float) -> tuple[World, list[int]]:
        world = worlds.draw(scenes.scenario(scene, seconds, facts, call), seed)
        return world, fitting.pictures(world.frames, self.opened, seed)


@asynccontextmanager
async def standing(folder: Path, pictures: int, *, pinned: bool) -> AsyncIterator[Stage]:
    """Box on one core, all else on another; or all of it on both."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    one, other = ({cores[0]}, {cores[-1]}) if pinned else (set(cores), set(cores))
    drawn, path = pool.drawn(pictures, seed=7), folder / "pool.npz"
    pool.kept(drawn, path)
    async with child(BOX, one, str(path)) as box, child(NODE, other) as node:
        opened = await box.hear(Opened)
        answers = {name: pool.rows(truth, CLASSES) for name, truth in zip(opened.digests, drawn.truths, strict=True)}
        serving = await node.ask(Recorded(list(CLASSES), answers, scenes.SERVICE), Serving)
        link = Shaper(serving.port)
        async with link.listening() as port, _on(other):
            pids = (os.getpid(), opened.pid, serving.pid)
            yield Stage(box, node, link, port, opened, frozenset(cores), pids)


@asynccontextmanager
async def _on(cores: set[int]) -> AsyncIterator[None]:
    """The link runs in this process: it takes nothing of the box's core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
