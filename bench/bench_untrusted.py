"""Models of strangers against their limits: `python -m bench.bench_untrusted [--quick] [--seed N] [--json FILE]`.

All hostile models of tests/hostile pass the gate in its real processes, one after the other: each is refused by a rule
that is meant for it, without being run in at most 5 seconds and 512 MiB, at least 200 of them so; those that only a run
shows, by the trial. Ordinary architectures and our own exports pass. Then each hostile model is forced onto a box, as
if it had been signed: no file is opened, no socket, no child, the box lives and reports it, and the release before it
goes on answering. `--quick`: a sample by seed, of every family some. `--only PART`: gate, ordinary or
forced; the others stay in the file.

`resident` is that of the largest process of the gate, or of this one where it was larger when it started that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.telling import told
from tests.hostile import corpus, ordinary
from tests.hostile.building import Hostile
from tests.hostile.forced import SERVING_SECONDS, Watched, forced_box
from tests.hostile.passing import RESIDENT, SECONDS, Verdict, by_rules, by_trial, most_resident, passing, right

LEAST_STATIC = 200
LEAST_ORDINARY = 20
QUICK = 20
PARTS = ("gate", "ordinary", "forced")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", choices=PARTS, help="the other parts stay in the file as they are")
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)  # each refusal would be told twice
    before = json.loads(arguments.json.read_text()) if arguments.json and arguments.only else {}
    made = _made(_chosen(arguments.quick, arguments.seed), arguments.only, quick=arguments.quick)
    figures: dict[str, Any] = {part: before[part] for part in PARTS if part in before} | {
        "seed": arguments.seed if arguments.quick else None,
        "limits": {"seconds": SECONDS, "resident_mib": RESIDENT >> 20, "silent_seconds": SERVING_SECONDS},
        **made,
    }
    missed = [each for part in made.values() for each in part["missed"]]
    sys.exit(told(json.dumps(figures, indent=2, ensure_ascii=False), figures, missed, arguments.json))


def _made(chosen: Sequence[Hostile], only: str | None, *, quick: bool) -> dict[str, dict[str, Any]]:
    """Each part with the seconds that it took."""
    made = {}
    for part in [only] if only else PARTS:
        started = time.monotonic()
        if part == "gate":
            made[part] = _gate(chosen, quick=quick)
        elif part == "ordinary":
            made[part] = _ordinary(quick=quick)
        else:
            made[part] = asyncio.run(_forced(chosen))
        made[part]["took_seconds"] = round(time.monotonic() - started)
    return made


def _chosen(quick: bool, seed: int) -> list[Hostile]:  # noqa: FBT001 - of a flag
    everything = corpus.everything()
    return corpus.sample(everything, QUICK, seed) if quick else everything


def _gate(models: Sequence[Hostile], *, quick: bool) -> dict[str, Any]:
    with ProcessPoolExecutor(1, get_context("spawn")) as builder:  # it takes more memory than what is measured
        verdicts = [
            by_rules(model.name, builder.submit(_built, model.name).result()) for model in _told(models, "gate")
        ]
        resident = most_resident()  # before the builder is counted, and the first trial
    static = [each for each in verdicts if each.rule]
    verdicts = [
        each if each.rule else by_trial(model.name, model.build()) for model, each in zip(models, verdicts, strict=True)
    ]
    missed = [
        f"{model.name}: {each.rule or 'passed'}"
        for model, each in zip(models, verdicts, strict=True)
        if not right(model, each)
    ]
    missed += [f"{each.name}: {each.seconds:.1f} s" for each in verdicts if not each.in_time]
    missed += [f"{resident >> 20} MiB resident"] if resident > RESIDENT else []
    missed += [f"only {len(static)} are refused without a run"] if not quick and len(static) < LEAST_STATIC else []
    return {
        "models": len(models),
        "families": dict(sorted(Counter(model.family for model in models).items())),
        "refused_by_rules": len(static),
        "refused_by_trial": sum(bool(each.rule) for each in verdicts) - len(static),
        "passed": _passed(verdicts),
        "rules": dict(sorted(Counter(each.rule for each in verdicts if each.rule).items())),
        "slowest_refusal_by_rules_seconds": round(max((each.seconds for each in static), default=0), 2),
        "resident_mib": resident >> 20,
        "missed": missed,
    }


def _built(name: str) -> bytes:
    return next(model for model in corpus.everything() if model.name == name).build()


def _passed(verdicts: Iterable[Verdict]) -> dict[str, int]:
    return dict(Counter(each.name.partition("/")[0] for each in verdicts if not each.rule))


def _ordinary(*, quick: bool) -> dict[str, Any]:
    models = list(ordinary.everything())[:: 6 if quick else 1]
    verdicts = [passing(name, build()) for name, build in models]
    refused = [f"{each.name}: {each.sentence}" for each in verdicts if each.rule]
    few = (
        [f"only {len(ordinary.architectures())} architectures"]
        if len(ordinary.architectures()) < LEAST_ORDINARY
        else []
    )
    return {"models": len(models), "refused": len(refused), "missed": [*refused, *few]}


async def _forced(models: Sequence[Hostile]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="longshore-forced-") as folder:
        async with forced_box(Path(folder)) as box:
            aimed = {model.name: model for model in corpus.everything(str(box.canary))}  # at the file that is watched
            found = [await box.assign(model.name, aimed[model.name].build()) for model in _told(models, "forced")]
            layers = {layer.name for word in box.confined for layer in word.missing}
    return {
        "models": len(found),
        "answered": sum(each.answered for each in found),
        "reported": sum(bool(each.reported) for each in found),
        "files_read": sum(each.read_a_file for each in found),
        "sockets": sum(each.sockets for each in found),
        "children": sum(each.children for each in found),
        "longest_silence_seconds": round(max(each.silent_seconds for each in found), 2),
        "layers_missing": sorted(layers),
        "missed": [_harm(each) for each in found if not each.survived],
    }


def _harm(each: Watched) -> str:
    return f"{each.name}: {each}"


def _told(models: Sequence[Hostile], what: str) -> Iterable[Hostile]:
    for number, model in enumerate(models, 1):
        if number % 25 == 0:
            print(f"{what}: {number} of {len(models)}", file=sys.stderr, flush=True)
        yield model


if __name__ == "__main__":
    main()
