"""Gets Runs on: one pass looks at each unfinished Run and does what `domain.decided` says.

Stored first, then done: a Run is Preparing with its attempt counted before its process starts, and whoever finds it
like that starts the same attempt, which the executor does once. A write that finds the Run changed meanwhile is
dropped; the next pass sees what it has become. At most `at_once` Runs have a process; the rest wait in order.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from controlplane.db import Database
from controlplane.ports import Clock
from controlplane.training import domain, progress
from controlplane.training.domain import Act, Decision, Event, Phase, Run, Why
from controlplane.training.ports import Executor, Job, Part, Recipes
from controlplane.training.progress import Pace, Progress
from controlplane.training.repository import RunRepository
from protos.errors import Fatal, Rejected, Retryable
from protos.ids import ModelName, Version

log = logging.getLogger(__name__)
_PIECE = 4 << 20  # bytes of progress read in one pass
MOST_SENTENCE = 300  # characters of a log's last line in a message

Publish = Callable[[str, ModelName, Version], str]  # run, model, version → name of the release


@dataclass
class _Reader:
    """Of one Run's progress, from where this process stands in it."""

    offset: int = 0
    progress: Progress = field(default_factory=Progress)
    pace: Pace = field(default_factory=Pace)


class RunDriver:
    """One per process; `tick` is called again and again, never twice at a time."""

    def __init__(self, database: Database, clock: Clock, executor: Executor, recipes: Recipes, at_once: int) -> None:
        self._database = database
        self._clock = clock
        self._executor = executor
        self._recipes = recipes
        self._at_once = at_once
        self._readers: dict[str, _Reader] = {}  # uid → reader
        self._starting = threading.Lock()  # held to start a process, and to end them all
        self._ending = False

    def tick(self, publish: Publish) -> None:
        """One pass. Raises Retryable when the database is away."""
        with self._database.read() as session:
            runs = RunRepository(session).unfinished()
        after = [self._follow(run, publish) if run.phase is not Phase.PENDING else run for run in runs]
        busy = sum(run.phase in domain.ON_THE_MACHINE for run in after)
        for run in [each for each in after if each.phase is Phase.PENDING][: max(0, self._at_once - busy)]:
            self._begin(run)
        self._readers = {uid: reader for uid, reader in self._readers.items() if uid in {run.meta.uid for run in runs}}

    def pause(self) -> None:
        """This process ends in order: so do theirs, and they go on when it is back. Starts nothing from now on."""
        with self._starting:
            self._ending = True
        with self._database.read() as session:
            runs = RunRepository(session).unfinished()
        for run in runs:
            if run.phase in domain.ON_THE_MACHINE:
                self._executor.stop(run.name)

    def sweep(self) -> None:
        """Keep checkpoints and release folders of the newest Runs only, and no more Runs than can be looked through."""
        with self._database.read() as session:
            over = [run for run in reversed(RunRepository(session).all()) if run.finished]
        for run in over[domain.KEEP_RUNS :]:
            self._executor.forget(run.name)
            with self._database.begin() as session:
                RunRepository(session).delete(run.name)
        for run in over[domain.KEEP_WORK : domain.KEEP_RUNS]:
            if run.kept:
                self._executor.trim(run.name)
                self._store(run, replace(run, kept=False))

    # ---- one run ----

    def _begin(self, run: Run) -> None:
        why = Why("Beginning", "its process is started" if not run.attempt else "it goes on from its checkpoint")
        after = self._moved(run, Event.BEGIN, why)
        if after is not None:
            self._start(after)

    def _follow(self, run: Run, publish: Publish) -> Run:
        look = self._executor.look(run.name)
        if run.phase in (Phase.PREPARING, Phase.RUNNING):
            run = self._read(run)
        decision = domain.decided(run, look)
        if decision.event is not None:
            return self._decided(run, decision) or run
        match decision.act:
            case Act.BEGIN:
                self._start(run)
            case Act.STOP:
                self._executor.stop(run.name)
            case Act.PUBLISH:
                return self._publish(run, publish)
        return run

    def _decided(self, run: Run, decision: Decision) -> Run | None:
        assert decision.event is not None
        why = decision.why
        if decision.event is Event.BROKE:
            why = Why(why.reason, f"{why.message}{self._last_words(run)}")
        return self._moved(replace(run, killed=run.killed + decision.killed), decision.event, why)

    def _start(self, run: Run) -> None:
        try:
            job = self._job(run)
            with self._starting:
                if not self._ending:
                    self._executor.begin(job)
        except Retryable as error:
            log.warning("run %s cannot start yet: %s", run.name, error)
        except (Rejected, Fatal) as error:
            self._moved(run, Event.BROKE, Why("CannotStart", str(error)))

    def _job(self, run: Run) -> Job:
        """Raises Rejected when its recipe is gone or broken."""
        recipe = next((each for each in self._recipes.all() if each.name == run.recipe), None)
        if recipe is None or recipe.problem:
            problem = recipe.problem if recipe else f"it is not below {self._recipes.folder} any more"
            raise Rejected(f"recipe {run.recipe} cannot be used: {problem}")
        settings = {**run.settings, "model": run.model, "version": run.version}
        return Job(run.name, run.attempt, recipe.command, recipe.folder, settings)

    def _publish(self, run: Run, publish: Publish) -> Run:
        try:
            release = publish(run.name, run.model, run.version)
        except Retryable as error:
            log.info("the release of run %s waits: %s", run.name, error)
            return run
        except Rejected as error:
            return self._moved(run, Event.BROKE, Why("ReleaseRefused", f"its release was refused: {error}")) or run
        why = Why("Published", f"release {release} is ready to deploy")
        return self._moved(replace(run, release=release), Event.PUBLISHED, why) or run

    def _last_words(self, run: Run) -> str:
        size = self._executor.size(run.name, Part.LOG)
        end = self._executor.read(run.name, Part.LOG, max(0, size - 4096), 4096).decode(errors="replace")
        last = next((line.strip() for line in reversed(end.splitlines()) if line.strip()), "")
        clean = "".join(each if each.isprintable() else "?" for each in last)[:MOST_SENTENCE]
        return f"; its log ends: {clean}" if clean else ""

    def _moved(self, run: Run, event: Event, why: Why) -> Run | None:
        """The Run after `event`, stored; None when somebody else changed it first."""
        after = domain.moved(run, event, why, int(self._clock.unix() * 1000))
        if not self._store(run, after):
            return None
        log.info("run %s is %s: %s", run.name, after.phase, why.message)
        return after

    def _store(self, before: Run, after: Run) -> bool:
        with self._database.begin() as session:
            return RunRepository(session).replace(before, after)

    # ---- progress ----

    def _read(self, run: Run) -> Run:
        """With what it told since the last look, stored when that is something."""
        reader = self._readers.setdefault(run.meta.uid, _Reader())
        fresh = self._executor.read(run.name, Part.PROGRESS, reader.offset, _PIECE)
        fresh = fresh[: progress.whole_lines(fresh)]
        reader.offset += len(fresh)
        found = progress.told(reader.progress, progress.lines(fresh))
        left = reader.pace.seconds_left(found, self._clock.monotonic())
        reader.progress = found = replace(found, seconds_left=left)
        if found == run.progress:
            return run
        if fresh or left is not None:
            with self._database.begin() as session:
                RunRepository(session).note(run, found)
        return replace(run, progress=found)
