"""All of them asked in turn: each round visits every cell, and right before each raw ONNX Runtime is measured.

Servers stay up through all rounds and idle while others are asked. The order of lines turns from round to round, so
that none is always the first after a pause. What fails in one cell is that cell's reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from bench.serving import asking, load
from bench.serving.cells import Cell, Limit, Standing
from bench.serving.contenders import Contender, Line, Started
from bench.serving.raw import Raw
from bench.serving.servers import Server, idle_cores
from bench.serving.wire import ENCODINGS
from bench.serving.workloads import Array, Workload
from protos.errors import LongshoreError

Say = Callable[[str], None]
RAW_SECONDS = 0.5  # at most, of each look at the limit
TURNS = 2  # answers on each connection, at the rate of raw ONNX Runtime, that a cell has time for
LONGEST_SECONDS = 8.0  # of a cell, though a machine should be too slow for that


@dataclass(frozen=True)
class Plan:
    """What to measure; `seconds` of each cell, after a time to settle. `span` says where it takes longer."""

    workloads: tuple[Workload, ...]
    in_flight: tuple[int, ...]
    rounds: int
    seconds: float
    idle_seconds: float


class Field:
    """The contenders that were started; they end with the stack."""

    def __init__(self, stack: ExitStack, models: Path, expected: Mapping[str, Array], say: Say) -> None:
        self._stack = stack
        self._models = models
        self._expected = expected
        self._say = say
        self._servers: dict[str, Server] = {}
        self._lines: list[Line] = []
        self._answers: dict[tuple[str, str], int] = {}  # (line, workload) → bytes of the right answer
        self._wrong: dict[tuple[str, str], str] = {}  # the same → why it is not measured
        self.standings: list[Standing] = []

    def start(self, contender: Contender, own: Path, workloads: Sequence[Workload]) -> None:
        """Start it and check all its answers; one that cannot be keeps its reason."""
        self._say(f"starting {contender.name}")
        standing = Standing(contender.name, contender.version)
        self.standings.append(standing)
        try:
            started = contender.make(self._models, own)
            server = self._stack.enter_context(Server(started.command))
            standing.ready_seconds = server.until(self._all_right(started, workloads))
            lines = (*started.lines, *started.late())
        except (LongshoreError, OSError) as error:
            standing.reason = str(error)
            self._say(f"{contender.name} is left out: {error}")
            return
        self._servers[contender.name] = server
        self._lines += lines
        self._check(started, lines, workloads)

    def idle(self, seconds: float) -> None:
        """Note what each uses while nobody asks."""
        self._say(f"{seconds:g} s in which nobody asks")
        found = idle_cores(self._servers, seconds)
        for each in self.standings:
            each.idle_cores = found.get(each.name, 0.0)

    def weigh(self) -> None:
        """Note what memory each holds now."""
        for each in self.standings:
            if server := self._servers.get(each.name):
                each.memory_mb = server.memory_mb()

    def lines(self, turn: int) -> list[Line]:
        """All of them, another one first at each turn."""
        at = turn % max(1, len(self._lines))
        return self._lines[at:] + self._lines[:at]

    def cell(self, line: Line, limit: Limit, workload: Workload, seconds: float) -> Cell:
        key = (line.name, workload.name)
        if key in self._wrong:
            return Cell(line.name, limit, None, self._wrong[key])
        call = ENCODINGS[line.encoding].ask(workload)
        try:
            measured = load.press(line.target, call, limit.in_flight, span(limit, seconds), self._answers[key])
        except LongshoreError as error:
            return Cell(line.name, limit, None, str(error))
        return Cell(line.name, limit, measured)

    def _all_right(self, started: Started, workloads: Sequence[Workload]) -> Callable[[], None]:
        """Raises until every model was answered rightly once; one that was is not asked again."""
        waiting = list(workloads)

        def check() -> None:
            while waiting:
                self._answer_bytes(started, started.lines[0], waiting[0])
                waiting.pop(0)

        return check

    def _check(self, started: Started, lines: Sequence[Line], workloads: Sequence[Workload]) -> None:
        for line, workload in product(lines, workloads):
            try:
                line.prepare(self._stack, workload)
                self._answers[line.name, workload.name] = self._answer_bytes(started, line, workload)
            except (LongshoreError, OSError, ValueError) as error:
                self._wrong[line.name, workload.name] = str(error)

    def _answer_bytes(self, started: Started, line: Line, workload: Workload) -> int:
        encoding, expected = ENCODINGS[line.encoding], self._expected[workload.name]
        return asking.checked(line.target, encoding, workload, expected, started.ca)


def run(plan: Plan, raw: Raw, contenders: Field, say: Say) -> list[Cell]:
    """Every cell of every round."""
    cells: list[Cell] = []
    for turn in range(plan.rounds):
        for workload, in_flight in product(plan.workloads, plan.in_flight):
            say(f"round {turn + 1} of {plan.rounds}: {workload.name}, {in_flight} in flight")
            for line in contenders.lines(turn):
                limit = _limit(raw, plan, workload.name, in_flight)
                cells.append(contenders.cell(line, limit, workload, plan.seconds))
    contenders.weigh()
    return cells


def span(limit: Limit, seconds: float) -> float:
    """Seconds of a cell: as asked for, and longer where the model is slow."""
    return max(seconds, min(LONGEST_SECONDS, TURNS * limit.in_flight / limit.rate))


def _limit(raw: Raw, plan: Plan, name: str, in_flight: int) -> Limit:
    seconds = min(plan.seconds, RAW_SECONDS)
    alone = raw.alone(name, seconds) if in_flight == 1 else 0.0
    return Limit(name, in_flight, raw.rate(name, seconds), alone)
