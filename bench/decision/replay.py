"""One world again, frame by frame: what was told to the contender, and what it did, in order of time."""

from __future__ import annotations

from collections.abc import Iterator

from agent.simulation.drive import Played, play
from agent.simulation.world import World, draw, known
from bench.decision import study
from bench.decision.scenarios import SCENARIOS


def told(scenario: str, seed: int, contender: str) -> Iterator[str]:
    """A line an event: seconds, frame, what; under each end, what the frame was."""
    world = draw(SCENARIOS[scenario], seed)
    played = play(world, study.made(contender)(known(SCENARIOS[scenario]), seed), telling=True)
    for at, number, what in played.told:
        yield f"{at:9.4f}  #{number:<6} {what}"
        if what.startswith("ends:"):
            yield f"{'':9}  {'':7} {_frame(world, played, number)}"


def _frame(world: World, played: Played, number: int) -> str:
    ways = [*(size.name for size in world.scenario.sizes), *(f"cloud at {p.nbytes}" for p in world.scenario.pictures)]
    chances = ", ".join(
        f"{way} {chance:.2f} {'right' if right else 'wrong'}"
        for way, chance, right in zip(ways, world.chance[number], world.right[number], strict=True)
    )
    taken = 1e3 * (played.fates[number].at - world.captured[number])
    return f"after {taken:.0f} ms; would have been: {chances}"
