"""`longshore-agent plan`: reads what is known, plays it, tells it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.plan import measured, text
from agent.plan.forecast import plan
from agent.plan.wish import Wish, bits_per_second, seconds
from agent.trial.progress import Progress
from protos.errors import Rejected

Say = Callable[[str], None]


@dataclass(frozen=True)
class Words:
    """As they stand at the command line; `budget` empty: all of the link."""

    release: Path | None
    figures: Path | None
    sizes: tuple[str, ...]
    cameras: int
    rate: float
    busy: float
    deadline: str
    link: str
    rtt: str
    budget: str
    cloud: str
    unsteady: bool
    form: str = "table"  # or json


def run(words: Words, say: Say) -> None:
    """Raises Rejected where a word cannot be read, or nothing says how long a frame takes."""
    wish = wished(words)
    progress = Progress()
    try:
        found = plan(wish, progress.tell)
    finally:
        progress.clear()
    say(json.dumps(text.document(found), indent=2, ensure_ascii=False) if words.form == "json" else text.text(found))


def wished(words: Words) -> Wish:
    """Raises Rejected."""
    release = measured.manifest(words.release) if words.release else None
    figures = measured.figures(words.figures) if words.figures else None
    box, cloud, known = measured.told(release, figures, words.sizes, seconds(words.cloud, "--cloud"))
    link = bits_per_second(words.link, "--link")
    budget = bits_per_second(words.budget, "--budget") if words.budget else link
    if budget > 0 and link <= 0:
        raise Rejected(
            f"--budget {words.budget} is of a link, and there is none: say how much the link carries, "
            "such as --link 4Mbit/s, or leave --budget out"
        )
    return Wish(
        box=box,
        cloud=cloud,
        cameras=words.cameras,
        rate=words.rate,
        busy=words.busy,
        deadline=seconds(words.deadline, "--deadline"),
        link=link,
        rtt=seconds(words.rtt, "--rtt"),
        budget=budget,
        unsteady=words.unsteady,
        measured=known,
    )
