"""The baselines by name. `FIXED` need nothing but what is known; `trained` makes those that learn from a training seed.

A baseline that runs one model runs medium, as whoever chose it would, or small where its name says so; no size is
chosen for it frame by frame. Baselines that keep to a budget have a token bucket of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from agent.offload.cost import CostLine
from agent.simulation.contender import Contender, Known, Maker
from agent.simulation.drive import play
from agent.simulation.scenario import Scenario
from agent.simulation.world import World, draw, known
from bench.decision.rivals import token_dqn
from bench.decision.rivals.books import Rival, Routing, Waiting
from bench.decision.rivals.grid import Point, Tuned, tuned
from bench.decision.rivals.linucb import LinUcb
from bench.decision.rivals.routing import CloudOnly, GuardedCloud, LocalOnly, Threshold
from bench.decision.rivals.token_dqn import Recorder, TokenDqn
from bench.decision.rivals.waiting import Corked, Fifo, Frigate, Newest
from bench.decision.rivals.worth import Worth

TRAINING_SEED = 9_001  # of no world that anybody is measured on
BOUND = 64  # frames that wait in a bounded queue
Costs = dict[str, CostLine]


def costs_of(release: Known) -> Costs:
    return {size.name: CostLine([(1, size.seconds)]) for size in release.sizes}


def _box(waiting: Callable[[Known, CostLine], Waiting], *, place: int = -1) -> Maker:
    """The box alone, always with the size at `place`; nothing knows of deadlines but what waits, perhaps."""

    def made(release: Known, _seed: int) -> Contender:
        costs, name = costs_of(release), release.sizes[place].name
        waits = waiting(release, costs[name])
        return Rival(waits, LocalOnly(name), costs, knows_deadlines=False, width=release.width)

    return made


def _no_box(routing: Callable[[], Routing], *, knows_deadlines: bool) -> Maker:
    """The cloud alone."""

    def made(release: Known, _seed: int) -> Contender:
        return Rival(Fifo(), routing(), costs_of(release), knows_deadlines=knows_deadlines)

    return made


def _frigate(_release: Known, _cost: CostLine) -> Waiting:
    return Frigate()


def _corked(release: Known, cost: CostLine) -> Waiting:
    return Corked(release.deadline, cost)


def linucb(release: Known, _seed: int) -> Contender:
    costs = costs_of(release)
    sizes = tuple(size.name for size in release.sizes)
    routing = LinUcb(sizes, _worth(release), token_dqn.bucket(release.budget))
    return Rival(Newest(costs), routing, costs, width=release.width)


def small(release: Known, _seed: int) -> Contender:
    """The newest frame of each camera with small, and none that would be late."""
    costs, name = costs_of(release), release.sizes[0].name
    return Rival(Newest(costs), LocalOnly(name), costs, width=release.width)


FIXED: dict[str, Maker] = {
    "fifo": _box(lambda _release, _cost: Fifo()),
    "bounded": _box(lambda _release, _cost: Fifo(BOUND)),
    "newest": _box(lambda _release, _cost: Newest()),
    "newest-small": small,
    "frigate": _box(_frigate),
    "frigate-small": _box(_frigate, place=0),
    "bentoml": _box(_corked),
    "bentoml-small": _box(_corked, place=0),
    "cloud": _no_box(CloudOnly, knows_deadlines=False),
    "guarded": _no_box(GuardedCloud, knows_deadlines=True),
    "linucb": linucb,
}


def threshold(place: int, point: Point, release: Known, _seed: int) -> Contender:
    """Sedna's with this point, with admission and mailboxes, so that its queue is no worse than it must be."""
    costs, name = costs_of(release), release.sizes[place].name
    return Rival(Newest(costs), Threshold(name, point.queue, point.least), costs, width=release.width)


def static(scenario: Scenario, place: int = 0, seed: int = TRAINING_SEED) -> Tuned:
    """The grid over the training world, with the size at `place`."""
    return tuned(draw(scenario, seed), lambda point: threshold(place, point, known(scenario), seed))


def token_dqn_of(scenario: Scenario, seed: int = TRAINING_SEED, steps: int = token_dqn.STEPS) -> Maker:
    """Trained on what the box's own answers are in the training world."""
    release, world = known(scenario), draw(scenario, seed)
    bits = release.pictures[0].nbytes * 8.0
    network = token_dqn.learned(_answers(world, release), _worth(release), release.budget, bits, seed, steps)

    def made(release: Known, _seed: int) -> Contender:
        costs, name = costs_of(release), release.sizes[0].name
        routing = TokenDqn(name, network, _worth(release), token_dqn.bucket(release.budget))
        return Rival(Newest(costs), routing, costs, width=release.width)

    return made


def trained(scenario: Scenario, seed: int = TRAINING_SEED) -> dict[str, Maker]:
    """Those that have to see a training world first: takes about a minute for one of 300 s."""
    found = static(scenario, 0, seed)
    return {
        "static": partial(threshold, 0, found.best),
        "static-in-budget": partial(threshold, 0, found.within),
        "token-dqn": token_dqn_of(scenario, seed),
    }


def _answers(world: World, release: Known) -> list[token_dqn.Answered]:
    costs, recorder = costs_of(release), Recorder(release.sizes[0].name)
    play(world, Rival(Newest(costs), recorder, costs, width=release.width))
    return recorder.answers


def _worth(release: Known) -> Worth:
    return Worth(release.pictures[0].metric, release.confidence)
