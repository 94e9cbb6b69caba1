"""What a trained tuner of slow gains earns over the analytic ones, on worlds that it was not trained on.

`python -m bench.bench_tuning [--quick] [--shipped] [--json FILE]` searches for weights (seeded, minutes), then plays 20
held-out worlds with and without them. `--shipped` judges the weights that the agent ships instead of searching anew.
It exits with 1 where the agent has the tuner on though it does not reach the bar, or ships weights that lose.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from agent.offload.tuner import SHIPPED, SHIPPED_MODE, Mode, Weights
from agent.simulation.ourselves import maker as analytic
from bench.decision.tuning.contender import maker
from bench.decision.tuning.search import KINDS, Effort, Reached, Round, reached, searched, world
from bench.decision.tuning.verdict import Verdict, verdict
from bench.telling import told

SEED = 7
HELD_OUT = tuple(range(200, 220))  # seeds
QUICK = Effort(rounds=2, drawn=4, kept=2, worlds=1, seconds=20.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="a short search, four short worlds: proves the way, no more"
    )
    parser.add_argument("--shipped", action="store_true", help="judge the weights that the agent ships")
    parser.add_argument("--json", type=Path, default=Path("bench/results/tuning.json"))
    options = parser.parse_args()
    weights = SHIPPED if options.shipped else searched(SEED, QUICK if options.quick else Effort(), _tell)
    seeds, seconds = (HELD_OUT[:4], 20.0) if options.quick else (HELD_OUT, 60.0)
    plain, tuned = judged(weights, seeds, seconds)
    found = verdict(plain, tuned)
    missed = [] if SHIPPED_MODE is not Mode.ON or found.ships_on else ["the tuner is on, and does not reach its bar"]
    result = {
        "weights": weights,
        "verdict": asdict(found),
        "ships_on": found.ships_on,
        "worlds": [
            {"seed": seed, "kind": kind_of(place), "plain": asdict(before), "tuned": asdict(after)}
            for place, (seed, before, after) in enumerate(zip(seeds, plain, tuned, strict=True))
        ],
        "missed": missed,
    }
    sys.exit(told(shown(found), result, missed, options.json))


def kind_of(place: int) -> str:
    return KINDS[place % len(KINDS)]


def judged(weights: Weights, seeds: tuple[int, ...], seconds: float) -> tuple[list[Reached], list[Reached]]:
    """Pairs, in the order of the seeds; the kinds of worlds take turns."""
    of = [world(kind_of(place), seed, seconds) for place, seed in enumerate(seeds)]
    return [reached(each, analytic()) for each in of], [reached(each, maker(weights)) for each in of]


def shown(found: Verdict) -> str:
    return "\n".join(
        [
            f"useful: {found.plain:.2%} with the analytic gains, {found.tuned:.2%} with the tuner",
            f"gain: {found.gain:+.2%} (bar: +2 %), better in {found.better} of {found.seeds} worlds, p = {found.p:.3f}",
            f"on time: {found.on_time_points:+.2f} points; late of what was taken on: {found.late_points:+.2f} points",
            "it ships on" if found.ships_on else "it ships off",
        ]
    )


def _tell(each: Round) -> None:
    print(f"kept: best {each.best:+.4f}, mean {each.mean:+.4f}, spread {each.spread:.2f}", flush=True)


if __name__ == "__main__":
    main()
