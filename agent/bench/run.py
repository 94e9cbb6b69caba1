"""One bench from start to end: a film, then variant after variant in rounds, then table, figures and plot.

Order in a round: the agent at full load, raw alone, raw at full load, the agent alone, which wants a calm second after
its load. A round that is not whole is forgotten. Ctrl-C ends it within a call; what was measured is told and written.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from agent.bench import films, plot, text
from agent.bench.asking import Asking, asking, in_flight
from agent.bench.figures import Bench, Film, Plan, Reached, Round, document, planned, reached
from agent.bench.films import Sample
from agent.bench.machine import Meter
from agent.bench.raw import Raw
from agent.inference.contract import outputs_of
from agent.inference.engine import OnnxEngine
from agent.inference.limits import EngineLimits
from agent.release_folder import ReleaseFolder, opened
from agent.supervise import in_thread
from agent.trial.progress import Progress
from agent.trial.run import check_output
from agent.update.variants import decided, tried
from protos.errors import LongshoreError, Rejected

SECONDS = 30.0
FIGURES, PLOT = "figures.json", "plot.svg"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """`source`: a video or camera, "" for a drawn one. `folder`: where figures and plot go; None: nowhere."""

    release: Path
    source: str = ""
    folder: Path | None = None
    seconds: float = SECONDS
    variant: str = ""  # "": all
    threads: int = 0  # cores to use; 0: all
    form: str = "table"  # or json


def run(wish: Wish, say: Say) -> bool:
    """Whether it came to its own end, and was not stopped. What people, or with json programs, read goes to `say`.

    Raises:
        Rejected: release or source cannot be used, the folder is not empty, or no variant runs here.
        Retryable: a live source gives nothing now, or an engine worker died.
        Fatal: no fitting ONNX Runtime is installed.
    """
    release = opened(wish.release, wish.variant)
    if wish.folder is not None:
        check_output(wish.folder, "--folder")
    bench = _Bench(wish, release)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(bench.run())
    _tell(told, wish, say)
    return not told.stopped


def _tell(bench: Bench, wish: Wish, say: Say) -> None:
    if not bench.variants:
        say("stopped before the first round was through; nothing was measured")
        return
    figures = json.dumps(document(bench), indent=2, ensure_ascii=False)
    say(figures if wish.form == "json" else text.text(bench))
    if wish.folder is None:
        return
    try:
        wish.folder.mkdir(parents=True, exist_ok=True)
        (wish.folder / FIGURES).write_text(f"{figures}\n", encoding="utf-8")
        (wish.folder / PLOT).write_text(plot.svg(bench), encoding="utf-8")
    except OSError as error:
        raise Rejected(f"{wish.folder} cannot be written: {error.strerror}; name another with --folder") from error
    if wish.form != "json":
        say(f"\nsee: {wish.folder / PLOT}")


class _Bench:
    def __init__(self, wish: Wish, release: ReleaseFolder) -> None:
        self._wish, self._release = wish, release
        names = [wish.variant] if wish.variant else [each.name for each in release.manifest.variants]
        self._names = names
        self._plan = planned(wish.seconds, len(names))
        there = len(os.sched_getaffinity(0))
        self._cores = min(wish.threads or there, there)
        self._stop = threading.Event()
        self._progress = _Shares(self._plan, len(names))
        self._film: Film | None = None
        self._sample: Sample | None = None
        self._reached: list[Reached] = []
        self._refused: list[tuple[str, LongshoreError]] = []

    async def run(self) -> Bench:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        meter = Meter()
        try:
            await self._look()
            for name in self._names:
                if not self._stop.is_set():
                    await self._variant(name)
        finally:
            self._progress.clear()
        return self._made(meter)

    def _made(self, meter: Meter) -> Bench:
        """Raises the error of the first variant where none runs."""
        if self._refused and not self._reached:
            raise self._refused[0][1]
        return Bench(
            self._release.title,
            self._release.spec.task,
            self._run_by_a_box(),
            meter.machine(self._cores),
            meter.seconds,
            tuple(self._reached),
            tuple((name, str(error)) for name, error in self._refused),
            self._film,
            self._stop.is_set(),
        )

    def _run_by_a_box(self) -> str:
        """The variant that it takes after it measured as we did."""
        variants = self._release.manifest.variants
        measured = {variant.name for variant in tried(variants, "cpu")}
        seconds = {each.variant: each.agent_alone.usual for each in self._reached if each.variant in measured}
        return decided(variants, "cpu", seconds).name

    async def _look(self) -> None:
        wanted = self._release.spec.input
        if wanted is None:
            return
        self._progress.now("decoding")
        seconds = self._plan.film_seconds
        self._film, self._sample = await in_thread(films.measured, self._wish.source, wanted, seconds, self._stop)
        self._progress.add(seconds)

    async def _variant(self, name: str) -> None:
        """One that does not run here is remembered, and stops no other."""
        release = opened(self._wish.release, name, self._cores)
        engine = OnnxEngine("bench", EngineLimits(waiting=64 + 2 * self._cores))
        self._progress.now(f"{name}: loading")
        try:
            await engine.start(release.spec)
            rounds = await self._rounds(engine, release)
            if rounds:
                self._reached.append(reached(name, engine.width, in_flight(engine.width), rounds))
        except LongshoreError as error:
            self._refused.append((name, error))
        finally:
            await engine.close()

    async def _rounds(self, engine: OnnxEngine, release: ReleaseFolder) -> list[Round]:
        spec, sample = release.spec, self._sample
        pixels = sample.pixels if sample else None
        raw = await in_thread(Raw, spec.model, self._cores, engine.width, pixels, outputs_of(spec.task))
        async with asking(engine, spec, engine.width, sample) as agent:
            await self._round(agent, raw, 0.0)  # so that nothing is met for the first time while it is measured
            rounds: list[Round] = []
            while len(rounds) < self._plan.rounds and not self._stop.is_set():
                self._progress.now(f"{release.variant.name}: round {len(rounds) + 1} of {self._plan.rounds}")
                one = await self._round(agent, raw, self._plan.slice_seconds)
                if not self._stop.is_set():
                    rounds.append(one)
        return rounds

    async def _round(self, agent: Asking, raw: Raw, seconds: float) -> Round:
        agent_many = await agent.many(seconds, self._stop)
        self._progress.add(seconds)
        raw_alone = await in_thread(raw.alone, seconds, self._stop)
        self._progress.add(seconds)
        raw_many = await in_thread(raw.many, seconds, self._stop)
        self._progress.add(seconds)
        agent_alone = await agent.alone(seconds, self._stop)
        self._progress.add(seconds)
        return Round(raw_alone, raw_many, agent_alone, agent_many)


class _Shares:
    """The bar: what is done now, and the share of the planned seconds that is. Drawn between slices, never in one."""

    def __init__(self, plan: Plan, variants: int) -> None:
        self._progress = Progress()
        self._whole = plan.film_seconds + variants * plan.rounds * 4 * plan.slice_seconds
        self._done = 0.0
        self._name = ""

    def now(self, name: str) -> None:
        self._name = name
        self._progress.tell(self._name, self._done / self._whole)

    def add(self, seconds: float) -> None:
        self._done += seconds
        self._progress.tell(self._name, self._done / self._whole)

    def clear(self) -> None:
        self._progress.clear()
