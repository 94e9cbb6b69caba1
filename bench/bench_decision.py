"""The edge–cloud decision against its goals, its rivals and the optimum, in virtual time.

`python -m bench.bench_decision [--seeds N] [--scenario NAME]… [--quick] [--json FILE]` plays each scenario with each
seed to the agent's own lane, to its rivals and to the lane without one part at a time. Results go to FILE, pictures
beside it. `--replay SEED [--scenario NAME] [--contender NAME]` tells one world again, frame by frame.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bench.decision import goals, picture, replay, study, table
from bench.decision.scenarios import CALIBRATION, SCENARIOS
from bench.telling import Result, told


def main() -> None:
    options = _options()
    if options.replay is not None:
        for line in replay.told((options.scenario or [CALIBRATION.name])[0], options.replay, options.contender):
            print(line)
        return
    scenarios = options.scenario or list(SCENARIOS)
    began = time.monotonic()
    seeds = options.seeds or (2 if options.quick else 10)
    done = study.run(study.tasks(scenarios, seeds, whole=not options.quick))
    means, bounds = study.means(done), study.bounds(done)
    missed = goals.missed(means)
    result = _result(done, means, bounds, missed, time.monotonic() - began)
    failed = told(table.shown(means, bounds), result, missed, options.json)
    picture.drawn(means, bounds, options.json.parent)
    sys.exit(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seeds", type=int, help="worlds of each scenario that has a goal, half of the others; 10, or 2"
    )
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="these alone; all without it")
    parser.add_argument("--quick", action="store_true", help="the agent's lane alone, two seeds if not told")
    parser.add_argument("--json", type=Path, default=Path("bench/results/decision.json"))
    parser.add_argument("--replay", type=int, metavar="SEED", help="tell this world frame by frame, and nothing else")
    parser.add_argument("--contender", default=study.OURS, help="whose world is told")
    return parser.parse_args()


def _result(
    done: list[study.Done], means: goals.Means, bounds: table.Bounds, missed: list[str], seconds: float
) -> Result:
    return {
        "seeds": max(each.task.seed for each in done),
        "seconds": round(seconds, 1),
        "scenarios": {
            name: {
                "says": SCENARIOS[name].says,
                "bounds": {of: asdict(mean) for of, mean in bounds[name].items()},
                "contenders": {who: {of: asdict(mean) for of, mean in row.items()} for who, row in rows.items()},
                "outcomes": _summed(done, name),
            }
            for name, rows in means.items()
        },
        "over_static_points": goals.over_static(means),
        "missed": missed,
    }


def _summed(done: list[study.Done], scenario: str) -> dict[str, dict[str, int]]:
    """Outcomes by contender, of all seeds."""
    total: dict[str, dict[str, int]] = {}
    for each in done:
        if each.task.scenario == scenario:
            for who, outcomes in each.outcomes.items():
                counts = total.setdefault(who, {})
                for outcome, many in outcomes.items():
                    counts[outcome] = counts.get(outcome, 0) + many
    return total


if __name__ == "__main__":
    main()
