"""The decision on real processes, next to what the simulator says: `python -m bench.bench_decision_real [--quick]`.

Sixteen cameras at twice what the box can, and at half; a link that is cut or fades, a node that gets slow (see
`bench.decision_real`). Held, in windows in which nothing else took the cores: of each scene the shares of frames on
time, answered by the cloud, given up and late within 5 points of what was said; at most 1 % late of what was taken on
where nothing is broken; within a second the next rung while the link is cut; 20 such windows. Windows in which others
took the cores are shown beside, and judge nothing. One run without pinning is told, and judges nothing either.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.decision_real import figures
from bench.decision_real.around import MOST_FOREIGN
from bench.decision_real.figures import Played
from bench.decision_real.fitting import Fit
from bench.decision_real.scenes import CALM, OVERLOAD, SCENES, BoxFacts, Scene
from bench.decision_real.stage import Stage, standing
from bench.telling import Result, told

KEEP_WINDOWS = ("scene", "seed", "foreign", "judges")


@dataclass(frozen=True)
class Form:
    """`each`: windows of a scene that judge, until which it goes on; `most`: windows of a scene in all."""

    seconds: float = 4.5
    pictures: int = 64
    each: int = 5
    most: int = 9
    fits: int = 3
    unpinned: int = 2
    scenes: tuple[Scene, ...] = SCENES


QUICK = Form(pictures=24, each=1, most=1, fits=1, unpinned=1)


@dataclass(frozen=True)
class Fits:
    """By load of the scenes. `foreign`: cores that others took meanwhile."""

    facts: BoxFacts
    by_load: dict[float, Fit]
    foreign: dict[float, float]


async def fitted(stage: Stage, form: Form) -> Fits:
    """First what the box can while all else wants its core too; then what its calls take at either load."""
    first, _ = await stage.fit(OVERLOAD, form.seconds, stage.facts, stage.facts.full, 1)
    facts, fits = replace(stage.facts, full=first.call), Fits(stage.facts, {}, {})
    for scene in (OVERLOAD, CALM):
        if any(each.load == scene.load for each in form.scenes):
            fit, fits.foreign[scene.load] = await stage.fit(scene, form.seconds, facts, facts.full, form.fits)
            fits.by_load[scene.load] = fit
            facts = replace(facts, full=fits.by_load[OVERLOAD.load].call)
    return replace(fits, facts=facts)


async def played(stage: Stage, form: Form, fits: Fits) -> list[Played]:
    """Scene after scene, round after round, so that a spell of foreign work is not one scene's alone."""
    windows: list[Played] = []
    for seed in range(1, form.most + 1):
        valid = Counter(each.scene for each in windows if each.judges)
        wanted = [scene for scene in form.scenes if valid[scene.name] < form.each]
        windows += [
            await stage.window(scene, form.seconds, seed, fits.facts, fits.by_load[scene.load]) for scene in wanted
        ]
    return windows


async def prove(folder: Path, form: Form) -> Result:
    """Everything that was measured, and what was missed."""
    began = time.monotonic()
    async with standing(folder, form.pictures, pinned=True) as stage:
        fits = await fitted(stage, form)
        windows = await played(stage, form, fits)
    loose = await unpinned(folder, form, fits) if form.unpinned else []
    return {**_result(windows, loose, fits), "seconds": round(time.monotonic() - began, 1)}


async def unpinned(folder: Path, form: Form, fits: Fits) -> list[Played]:
    """What more cores bring, next to what was said of a box of one."""
    async with standing(folder, form.pictures, pinned=False) as stage:
        fit, seeds = fits.by_load[OVERLOAD.load], range(1, form.unpinned + 1)
        return [await stage.window(OVERLOAD, form.seconds, seed, fits.facts, fit) for seed in seeds]


def _result(windows: Sequence[Played], loose: Sequence[Played], fits: Fits) -> Result:
    judged, rest = [each for each in windows if each.judges], [each for each in windows if not each.judges]
    scenes, aside = figures.by_scene(judged), figures.by_scene(rest)
    told_ms = {each.name: 1e3 * fits.by_load[each.load].call for each in SCENES if each.load in fits.by_load}
    return {
        "judged": scenes,
        "discarded": aside,
        "reasons": {kind: figures.reasons(of, told_ms) for kind, of in (("judged", scenes), ("discarded", aside))},
        "unpinned": figures.by_scene(loose),
        "windows": {"judged": len(judged), "discarded": len(rest), "most_foreign": MOST_FOREIGN},
        "foreign": {"judged": figures.foreign_of(judged), "discarded": figures.foreign_of(rest)},
        "fits": _fits(fits),
        "each_window": [_window(each) for each in windows],
        "missed": figures.missed(scenes, len(judged)),
    }


def _window(each: Played) -> dict[str, Any]:
    own = figures.scene_figures([each])
    return {key: getattr(each, key) for key in KEEP_WINDOWS} | {"points_apart": own["points_apart"]}


def _fits(fits: Fits) -> dict[str, Any]:
    return {
        "box": asdict(fits.facts),
        "call_ms": {f"{load:g}": round(1e3 * fit.call, 2) for load, fit in fits.by_load.items()},
        "beyond_ms": {f"{load:g}": round(1e3 * fmean(fit.beyond), 2) for load, fit in fits.by_load.items()},
        "foreign": {f"{load:g}": round(taken, 3) for load, taken in fits.foreign.items()},
    }


def table(result: Result) -> str:
    counts, fits = result["windows"], result["fits"]
    head = (
        f"{counts['judged']} windows judge, {counts['discarded']} are discarded (others took over {MOST_FOREIGN:g} "
        f"cores); of the engine a call takes, by load, in ms: {fits['call_ms']}"
    )
    parts = [figures.table(name, result[name]) for name in ("judged", "discarded", "unpinned") if result[name]]
    parts += [f"{kind}: {each}" for kind, found in result["reasons"].items() for each in found]
    return "\n\n".join([head + "; real, said, points apart; these with the window's own times known", *parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", dest="form", action="store_const", const=QUICK, default=Form(), help="a minute")
    parser.add_argument("--json", type=Path, default=Path("bench/results/decision_real.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(prove(Path(folder), options.form))
    sys.exit(told(table(result), result, result["missed"], options.json))


if __name__ == "__main__":
    main()
