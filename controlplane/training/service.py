"""Use cases of training: look at recipes and Runs, ask for one, cancel it, forget it. One transaction each.

A Run that was taken is stored before anything happens; `driver` gets it on. What is refused is refused here, before
hours of training: an unknown setting, a version that is taken, a machine that cannot train.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import uuid4

from controlplane.db import Database
from controlplane.errors import Conflict, NotFound
from controlplane.fleet.objects import Meta
from controlplane.fleet.selectors import EVERYTHING, Selector
from controlplane.ports import Clock
from controlplane.training import domain, progress, recipe
from controlplane.training.domain import Event, Phase, Run, Why
from controlplane.training.ports import Executor, Part, Recipes, Trainer
from controlplane.training.progress import Points
from controlplane.training.recipe import Recipe, Value
from controlplane.training.repository import RunRepository
from protos import ids
from protos.errors import Rejected
from protos.ids import ModelName, Version

MOST_WAITING = 100  # Runs in the queue: beyond it, it is a mistake
MOST_PROGRESS = 64 << 20  # bytes of a progress file that are read for a plot
_PIECE = 1 << 20


@dataclass(frozen=True)
class Wish:
    """What somebody asks for; what is empty is chosen."""

    recipe: str
    settings: Mapping[str, Value] = field(default_factory=dict)
    name: str = ""
    model: str = ""
    version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LogPiece:
    content: bytes
    start: int  # where in the log it begins
    size: int  # of the log, when it was read
    over: bool  # nothing more will come
    end: int  # where the next begins


class TrainingService:
    """Blocking and thread-safe."""

    def __init__(
        self, database: Database, clock: Clock, executor: Executor, recipes: Recipes, at_once: int = 1
    ) -> None:
        self._database = database
        self._clock = clock
        self._executor = executor
        self._recipes = recipes
        self._at_once = at_once

    # ---- recipes and trainer ----

    def recipes(self) -> list[Recipe]:
        return self._recipes.all()

    def recipe(self, name: str) -> Recipe:
        """Raises NotFound."""
        found = {each.name: each for each in self._recipes.all()}
        if name not in found:
            known = ", ".join(found) or "none"
            raise NotFound(f"there is no recipe {name!r} below {self._recipes.folder}; there are: {known}")
        return found[name]

    def trainer(self) -> Trainer:
        if self._at_once:
            return self._executor.trainer()
        return Trainer(
            executor="none",
            can_train=False,
            ready=False,
            message="this control plane was started to train nothing",
            remedy="start it with --runs-at-once 1",
        )

    # ---- runs ----

    def runs(self, wanted: Selector = EVERYTHING, limit: int | None = None, after: str = "") -> list[Run]:
        """Oldest first, from the first behind the place `after` on."""
        with self._database.read() as session:
            found = RunRepository(session).all()
        return [each for each in found if each.place > after and wanted.matches(each.meta.labels)][:limit]

    def run(self, name: str) -> Run:
        """Raises NotFound."""
        with self._database.read() as session:
            return _found(RunRepository(session).get(name), name)

    def waiting(self) -> list[str]:
        """Names of Runs whose turn has not come, the next one first."""
        with self._database.read() as session:
            return [each.name for each in RunRepository(session).unfinished() if each.phase is Phase.PENDING]

    def start(self, wish: Wish) -> Run:
        """Take a Run into the queue.

        Raises:
            NotFound: no such recipe.
            Rejected: a setting, name or version that cannot be, or no training here.
            Conflict: the name or the version is taken.
        """
        chosen = self._usable(wish.recipe)
        settings = recipe.resolved(chosen, wish.settings)
        model = ids.model_name(wish.model or chosen.name)
        now = self._now_ms()
        meta = Meta(str(uuid4()), now, wish.labels, wish.annotations)
        with self._database.begin() as session:
            repository = RunRepository(session)
            queue = repository.unfinished()
            if len(queue) >= MOST_WAITING:
                raise Conflict(f"{len(queue)} runs are waiting already; cancel some with 'longshore cancel run NAME'")
            name = self._name(repository, wish, chosen.name)
            version = _version(repository.versions_of(model), model, wish.version)
            run = domain.begun(Run(name, meta, chosen.name, model, version, settings), _waits(queue), now)
            repository.add(run)
        return run

    def _usable(self, name: str) -> Recipe:
        chosen = self.recipe(name)
        if chosen.problem:
            raise Rejected(f"recipe {name} cannot be used: {chosen.problem}")
        trainer = self.trainer()
        if not trainer.can_train:
            raise Rejected(f"{trainer.message}; {trainer.remedy}")
        return chosen

    def _name(self, repository: RunRepository, wish: Wish, chosen: str) -> str:
        if not wish.name:
            return domain.free_name(chosen, (run.name for run in repository.all()))
        name = ids.name(wish.name, "run name")
        if repository.get(name) is not None:
            raise Conflict(f"there is a run {name} already; choose another name, or delete it first")
        return name

    def cancel(self, name: str) -> Run:
        """Its process ends with a checkpoint, and nothing is published. Raises NotFound, Conflict when it is over."""
        why = Why("Cancelled", "it was cancelled")
        with self._database.begin() as session:
            repository = RunRepository(session)
            run = _found(repository.get(name), name)
            after = domain.moved(run, Event.CANCEL, why, self._now_ms())
            repository.replace(run, after)
        return after

    def delete(self, name: str) -> None:
        """With its log and checkpoints; its release stays. Raises NotFound, Conflict while it is not over."""
        run = self.run(name)
        if not run.finished:
            raise Conflict(f"run {name} is {run.phase}; cancel it first: longshore cancel run {name}")
        self._executor.forget(name)
        with self._database.begin() as session:
            RunRepository(session).delete(name)

    # ---- what a run writes ----

    def log(self, name: str, start: int, most: int) -> LogPiece:
        """Of the log from `start` on, whole lines; a negative `start` counts from the end. Raises NotFound.

        Where its middle was left out, a line says so in its place.
        """
        run = self.run(name)
        size, (gone, on) = self._executor.size(name, Part.LOG), self._executor.gap(name)
        begin = max(0, size + start) if start < 0 else min(start, size)
        if gone <= begin < on:
            if start >= 0:
                return LogPiece(progress.left_out(on - gone), begin, size, over=False, end=on)
            begin = on
        content = self._executor.read(name, Part.LOG, begin, most)
        if start < 0 and begin not in (0, on):
            cut = content.find(b"\n") + 1
            begin, content = begin + cut, content[cut:]
        if not run.finished or len(content) == most:
            content = content[: progress.whole_lines(content)] or content[:most] * (len(content) == most)
        end = begin + len(content)
        return LogPiece(content, begin, size, run.finished and end >= size, end)

    def points(self, name: str, most: int) -> Points:
        """Loss and metrics for a plot. Raises NotFound."""
        self.run(name)
        size = min(self._executor.size(name, Part.PROGRESS), MOST_PROGRESS)
        pieces = (self._executor.read(name, Part.PROGRESS, at, _PIECE) for at in range(0, size, _PIECE))
        return progress.points(progress.lines(b"".join(pieces)), most)

    def _now_ms(self) -> int:
        return int(self._clock.unix() * 1000)


def _found(run: Run | None, name: str) -> Run:
    if run is None:
        raise NotFound(f"there is no run {name!r}; see 'longshore get runs'")
    return run


def _version(taken: set[str], model: ModelName, wished: str) -> Version:
    if not wished:
        return domain.next_version(taken)
    version = ids.version(wished)
    names = {ids.release_name(model, Version(each)): each for each in taken}
    clash = names.get(ids.release_name(model, version))
    if clash is not None:
        raise Conflict(f"{model} {clash} is taken by a release or a run; leave out the version to get a free one")
    return version


def _waits(queue: list[Run]) -> Why:
    if not queue:
        return Why("Asked", "it begins in a moment")
    others = f"{len(queue)} runs" if len(queue) > 1 else f"run {queue[0].name}"
    return Why("Waiting", f"it waits for {others}")
