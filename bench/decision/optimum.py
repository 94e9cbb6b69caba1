"""The bound: the most that anybody could earn in a world, by one linear programme (HiGHS). Pure.

It knows all arrivals, every call's time, the link and the round trips. `knows_difficulty` False: of a frame it knows no
more than its release says; True: the chance of each way of answering it. It decides shares x of frames and ways:

    most   Σ value · chance · x      where Σ x ≤ 1 of a frame, Σ bits · x ≤ budget · time,
    and whatever is run or sent can be, in parts, between its arrival and its deadline.

The last is kept over slots of time: a slot serves no more than it holds, and what is left of the work that arrived in a
slot or before is served in the `lag` slots after it. Arrivals count from their slot's begin and deadlines to their
slot's end, calls may be interrupted, pictures overtake each other and every one has the shortest round trip: each of
these gives the optimum more than the world has, so that it is a bound. With difficulty it knows all that can be known
of a frame (see `world`): it bounds everyone. Without, a contender that sees how sure an answer is knows more than it.

Without difficulty, frames that arrive in one slot with one deadline are one group, and their calls take what they take
on the mean, those that take far longer than usual apart.

Source: interval relaxations of real-time scheduling; the forms of the design's §9.11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array

from agent.simulation.drive import ENCODE_SECONDS
from agent.simulation.world import Numbers, World

SLOT = 0.25  # seconds; with a tenth of it the bound is 0.07 points lower, and takes ten times as long
LONG = 1.5  # times what it usually takes: calls that the optimum avoids
Rows = npt.NDArray[np.int64]
Term = tuple[Rows, Rows, Numbers]  # which rows, which variables, times what


@dataclass(frozen=True)
class Optimum:
    """`useful`: value earned over value offered; `rate`: bits a second that it sends for it."""

    useful: float
    rate: float


@dataclass(frozen=True)
class _Groups:
    """Row g: `many` frames that arrive in `slot`, due `length` seconds after; work of one of them in each way."""

    slot: Rows
    length: Numbers
    many: Numbers
    earned: Numbers  # value · chance, by way
    work: Numbers  # seconds, by size
    bits: Numbers  # by picture


@dataclass
class _Rows:
    """Rows of `matrix · variables = or ≤ right`, gathered."""

    many: int = 0
    terms: list[Term] = field(default_factory=list)
    right: list[Numbers] = field(default_factory=list)

    def add(self, right: Numbers, *terms: Term) -> None:
        """As many rows as `right` is long."""
        self.terms += [(self.many + rows, columns, factors) for rows, columns, factors in terms]
        self.right.append(right)
        self.many += len(right)

    def matrix(self, columns: int) -> csr_array:
        rows, where, factors = (np.concatenate(each) for each in zip(*self.terms, strict=True))
        return coo_array((factors, (rows, where)), shape=(self.many, columns)).tocsr()


@dataclass
class _Programme:
    columns: int = 0
    equal: _Rows = field(default_factory=_Rows)
    below: _Rows = field(default_factory=_Rows)

    def variables(self, many: int) -> Rows:
        self.columns += many
        return np.arange(self.columns - many, self.columns)

    def solve(self, worth: Numbers) -> Numbers:
        """The variables, all at least 0; `worth` is of the first of them. RuntimeError where there is no optimum."""
        cost = np.zeros(self.columns)
        cost[: len(worth)] = -worth
        below, equal = self.below.matrix(self.columns), self.equal.matrix(self.columns)
        most, exactly = np.concatenate(self.below.right), np.concatenate(self.equal.right)
        found = linprog(cost, A_ub=below, b_ub=most, A_eq=equal, b_eq=exactly, method="highs")
        if not found.success:
            raise RuntimeError(f"no optimum was found: {found.message}")
        return np.asarray(found.x, dtype=np.float64)


def optimum(world: World, budget: float, *, knows_difficulty: bool) -> Optimum:
    """`budget`: bits a second of uplink on average; 0: the box alone."""
    groups = _groups(world, knows_difficulty=knows_difficulty, cloud=budget > 0)
    many, ways = groups.earned.shape
    sizes = groups.work.shape[1]
    programme = _Programme()
    x = programme.variables(many * ways).reshape(many, ways)  # frames of a group that are answered this way
    programme.below.add(groups.many, (np.repeat(np.arange(many), ways), x.ravel(), np.ones(many * ways)))
    _served(programme, groups, x[:, :sizes], groups.work, _box(world), 0.0)
    if ways > sizes:
        sent = np.zeros(groups.bits.size, dtype=np.int64), x[:, sizes:].ravel(), groups.bits.ravel()
        programme.below.add(np.array([budget * world.scenario.seconds]), sent)
        _served(programme, groups, x[:, sizes:], groups.bits, _link(world), _away(world))
    found = programme.solve(groups.earned.ravel())[: many * ways].reshape(many, ways)
    bits = float((found[:, sizes:] * groups.bits).sum())
    return Optimum(float((found * groups.earned).sum() / world.value.sum()), bits / world.scenario.seconds)


def _groups(world: World, *, knows_difficulty: bool, cloud: bool) -> _Groups:
    scenario, sizes = world.scenario, len(world.scenario.sizes)
    pictures = scenario.pictures if cloud else ()
    bits = np.tile(np.array([picture.nbytes * 8.0 for picture in pictures]), (world.frames, 1))
    chance = world.chance if knows_difficulty else np.tile(world.chance.mean(axis=0), (world.frames, 1))
    earned = (chance * world.value[:, None])[:, : sizes + len(pictures)]
    if cloud:
        earned[:, sizes:] *= ~_too_far(world, bits)
    work = world.times * np.array([size.seconds for size in scenario.sizes])
    slot, length = np.floor(world.captured / SLOT).astype(np.int64), np.round(world.deadline - world.captured, 6)
    if knows_difficulty:
        return _Groups(slot, length, np.ones(world.frames), earned, work, bits)
    _, first, group, many = np.unique(
        np.stack([slot, length, *earned.T, *(world.times.T > LONG)]),
        axis=1,
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    mean = np.stack([np.bincount(group.ravel(), each) for each in work.T], axis=1) / many[:, None]
    return _Groups(slot[first], length[first], many.astype(float), earned[first], mean, bits[first])


def _box(world: World) -> Numbers:
    """Seconds of a cool box's work that each slot holds."""
    fine = 10
    at = np.arange(_slots(world) * fine) * SLOT / fine
    pace: Numbers = np.array([1 / world.slowness(t) for t in at]).reshape(-1, fine).mean(axis=1)
    return SLOT * pace * world.scenario.width / world.scenario.interference


def _link(world: World) -> Numbers:
    return np.array([world.trace.capacity(k * SLOT, (k + 1) * SLOT) for k in range(_slots(world))])


def _slots(world: World) -> int:
    return math.ceil((world.scenario.seconds + max(world.scenario.deadlines)) / SLOT) + 2


def _away(world: World) -> float:
    """The least that encoding, round trip and service take of a deadline."""
    return ENCODE_SECONDS + min(step.rtt for step in world.trace.steps) + world.scenario.service


def _too_far(world: World, bits: Numbers) -> npt.NDArray[np.bool_]:
    """Pictures that are too late whatever anyone does: their round trip and service leave the best link no time."""
    best = max(*(step.rate for step in world.trace.steps), 1.0)
    ends = zip(world.captured.tolist(), world.deadline.tolist(), strict=True)
    service = np.array([min(world.service(since), world.service(until)) for since, until in ends])
    away = _away(world) - world.scenario.service + service + world.jitter
    return bits / best > (world.deadline - world.captured - away)[:, None]


def _served(programme: _Programme, groups: _Groups, x: Rows, work: Numbers, holds: Numbers, away: float) -> None:
    """All of `work · x` between arrival and deadline less `away`, in slots that hold so much."""
    slots, each = len(holds), np.arange(len(holds))
    shares: list[Term] = []
    for length in np.unique(groups.length):
        of = groups.length == length
        if length <= away:
            programme.below.add(np.zeros(1), (np.zeros(x[of].size, dtype=np.int64), x[of].ravel(), np.ones(x[of].size)))
            continue
        served, left = programme.variables(slots), programme.variables(slots)
        came = np.repeat(groups.slot[of], x.shape[1]), x[of].ravel(), -work[of].ravel()
        before = each[1:], left[:-1], -np.ones(slots - 1)
        programme.equal.add(np.zeros(slots), came, before, (each, left, np.ones(slots)), (each, served, np.ones(slots)))
        soon = [(each[:-j], served[j:], -np.ones(slots - j)) for j in range(1, 1 + math.ceil((length - away) / SLOT))]
        programme.below.add(np.zeros(slots), (each, left, np.ones(slots)), *soon)
        shares.append((each, served, np.ones(slots)))
    if shares:
        programme.below.add(holds, *shares)
