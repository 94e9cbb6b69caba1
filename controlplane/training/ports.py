"""What training needs from the world: recipes, and something that runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Protocol

from controlplane.training.recipe import Recipe, Value


class Recipes(Protocol):
    """The recipes that may be run here. Nobody adds one over the network: a token must not become any code."""

    @property
    def folder(self) -> str:
        """Where they lie, for sentences."""
        ...

    def all(self) -> list[Recipe]:
        """By name; one that cannot be read is there with its `problem`."""
        ...


class State(StrEnum):
    """What became of the newest start of a job."""

    ABSENT = "absent"  # it was never started
    PREPARING = "preparing"  # its environment is being made
    RUNNING = "running"
    UNPREPARED = "unprepared"  # it ended while its environment was made
    ENDED = "ended"


@dataclass(frozen=True)
class Look:
    """`code`: of a process that ended, negative for a signal; None when nobody was there to see its end. `told`: it
    was asked to stop by `Executor.stop`, or by whoever ends this machine in order.
    """

    state: State
    attempt: int = 0
    code: int | None = None
    told: bool = False

    @property
    def alive(self) -> bool:
        return self.state in {State.PREPARING, State.RUNNING}


@dataclass(frozen=True)
class Job:
    """One start of a Run. `{python}` in the command is the training environment's, `{folder}` the recipe's own."""

    name: str
    attempt: int
    command: tuple[str, ...]
    recipe_folder: str
    settings: Mapping[str, Value]  # with `model` and `version`: what settings.json holds


class Part(StrEnum):
    """What a job writes and others read while it runs."""

    LOG = "log.txt"
    PROGRESS = "progress.jsonl"


@dataclass(frozen=True)
class Trainer:
    """Whether Runs can be made, and what comes first. Sentences are for people."""

    executor: str
    can_train: bool
    ready: bool  # nothing has to be fetched first
    message: str
    remedy: str = ""  # what to do where it cannot train
    least_fetch_bytes: int = 0  # of the environment, where it is not ready
    most_fetch_bytes: int = 0
    disk_bytes: int = 0  # at most
    free_bytes: int = 0


class Executor(Protocol):
    """Runs jobs, each in a folder of its own that outlives them: a job that is started again goes on from there.

    A job has the name of its Run and is started one or more times; `attempt` tells the starts apart. What was started
    lives on when this process dies, and is found again. All calls are blocking and thread-safe.
    """

    def trainer(self) -> Trainer: ...

    def begin(self, job: Job) -> None:
        """Start it, and return once `look` sees that. Nothing happens when this attempt runs already.

        Raises:
            Rejected: it cannot be started as it is.
            Retryable: not now.
        """
        ...

    def look(self, name: str) -> Look: ...

    def stop(self, name: str) -> None:
        """Ask it to stop: it may write a checkpoint, and is killed with all it started when that takes too long.

        Returns at once; nothing happens when it does not run.
        """
        ...

    def gap(self, name: str) -> tuple[int, int]:
        """The log may be bounded: bytes of its middle that are gone, from the first to before the second number.

        Both are the same when none is. Lines are whole on both sides.
        """
        ...

    def size(self, name: str, part: Part) -> int:
        """Bytes there were ever; 0 when there is none."""
        ...

    def read(self, name: str, part: Part, start: int, most: int) -> bytes:
        """At most `most` bytes from `start` on; fewer where the end or the gap is."""
        ...

    def open_release(self, name: str, path: str) -> BinaryIO:
        """A file of the release folder that a job left. Raises Rejected when there is none."""
        ...

    def trim(self, name: str) -> None:
        """Give up checkpoints and release folder of a job that ended. Log and progress stay."""
        ...

    def forget(self, name: str) -> None:
        """Remove all of a job. No error when absent. Raises Conflict while it runs."""
        ...
