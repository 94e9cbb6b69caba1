"""What the pages of runs show, and the form that starts one. Pure.

What changes at each step of a training is a value, so that a page is not made again for it; the phase is a fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controlplane.shape import moment, moment_or_never
from controlplane.training.domain import Phase, Run
from controlplane.training.ports import Trainer
from controlplane.training.progress import Points, Progress
from controlplane.training.recipe import Recipe, Setting
from controlplane.ui import figures
from controlplane.ui.page import Values
from controlplane.ui.plots import figure, plot
from protos.ids import release_name

Facts = dict[str, Any]
IS: Mapping[Phase, str] = {
    Phase.PENDING: "pending",
    Phase.PREPARING: "going",
    Phase.RUNNING: "going",
    Phase.PUBLISHING: "going",
    Phase.CANCELLING: "busy",
    Phase.SUCCEEDED: "succeeded",
    Phase.FAILED: "failed",
    Phase.CANCELLED: "cancelled",
}
WORDS = {"draw": "drawing", "train": "training", "evaluate": "measuring", "export": "packaging"}
FIELDS = {"int": "number", "float": "number", "bool": "boolean", "str": "text"}


def line(run: Run, waiting: Sequence[str]) -> Facts:
    """`waiting`: names of Runs whose turn has not come, the next one first."""
    return {
        "name": run.name,
        "recipe": run.recipe,
        "model": run.model,
        "version": run.version,
        "release": run.release,
        "phase": run.phase.value,
        "is": IS[run.phase],
        "going": not run.finished,
        "why": run.why.message,
        "position": waiting.index(run.name) + 1 if run.name in waiting else 0,
        "created": moment(run.meta.created_unix_ms),
        "ended": moment_or_never(run.ended_ms) or "",
        "took": span((run.ended_ms - run.started_ms) / 1000) if run.ended_ms and run.started_ms else "",
    }


def run(found: Run, waiting: Sequence[str], default: Mapping[str, Any]) -> Facts:
    """One of them; `default`: the settings of its recipe as they are now, by name."""
    return {
        **line(found, waiting),
        "attempt": found.attempt,
        "kept": found.kept,
        "started": moment_or_never(found.started_ms) or "",
        "settings": [
            {"name": name, "value": _shown(value), "changed": name in default and default[name] != value}
            for name, value in found.settings.items()
        ],
        "steps": [
            {"word": each.type, "message": each.message, "at": moment(each.since_unix_ms), "now": each.status == "True"}
            for each in found.conditions
        ],
        "again": {"recipe": found.recipe, **{f"set.{name}": _shown(value) for name, value in found.settings.items()}},
        "release_name": found.release or release_name(found.model, found.version),
    }


def values(found: Run) -> Values:
    """By key: how far it is."""
    told, key = found.progress, f"run.{found.name}"
    done = found.phase is Phase.SUCCEEDED
    return {
        f"{key}.share": 100 if done else round(100 * told.ratio, 1),
        f"{key}.left": _left(found),
        f"{key}.doing": "" if found.finished else doing(told),
        f"{key}.loss": "–" if told.loss is None else figure(told.loss),
        f"{key}.metric": metric(told),
    }


def _left(found: Run) -> str:
    if found.phase is not Phase.RUNNING or found.progress.seconds_left is None:
        return ""
    return f"about {span(found.progress.seconds_left)} left"


def doing(told: Progress) -> str:
    """ "training · epoch 2 of 5 · step 120 of 4000"."""
    said = [WORDS.get(told.phase, told.phase)] if told.phase else []
    if told.epoch is not None and told.phase == "train":
        said.append(f"epoch {told.epoch}" + (f" of {told.epochs}" if told.epochs else ""))
    if told.steps:
        said.append(f"step {told.step:,} of {told.steps:,}")
    return " · ".join(said)


def metric(told: Progress) -> str:
    """The first one, with its name."""
    return next((f"{name} {figure(value)}" for name, value in told.metrics.items()), "–")


def drawn(points: Points) -> Values:
    """What the plots draw; empty where there is nothing yet."""
    whole: Any = plot({"loss": points.loss}) or {}
    parts: Any = plot(points.metrics) or {}
    return {"plot.loss": whole, "plot.metrics": parts}


def span(seconds: float) -> str:
    """ "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


# ---- starting one ----


def trainer(found: Trainer) -> Facts:
    """Whether training can run here; what is missing, how large it is, what to do."""
    fetch = f"{figures.size(found.least_fetch_bytes)} to {figures.size(found.most_fetch_bytes)}"
    first = (
        f"The training environment is made first: {fetch} are fetched, up to {figures.size(found.disk_bytes)} on disk, "
        f"{figures.size(found.free_bytes)} are free. That happens once."
    )
    return {
        "can": found.can_train,
        "ready": found.ready,
        "message": found.message,
        "remedy": found.remedy,
        "first": first if found.can_train and not found.ready and found.most_fetch_bytes else "",
    }


def recipe(found: Recipe) -> Facts:
    return {
        "name": found.name,
        "summary": found.summary,
        "task": found.task,
        "folder": found.folder,
        "problem": found.problem,
        "settings": len(found.settings),
    }


def fields(found: Recipe, asked: Mapping[str, str]) -> list[Facts]:
    """The form of a recipe's settings; `asked`: what an address sets, by `set.NAME`."""
    return [_field(setting, asked.get(f"set.{setting.name}")) for setting in found.settings]


def _field(setting: Setting, asked: str | None) -> Facts:
    value = _shown(setting.default) if asked is None else asked
    return {
        "name": setting.name,
        "as": FIELDS[setting.type],
        "value": value,
        "on": value == "true",
        "default": _shown(setting.default),
        "help": setting.help,
    }


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def newest_first(found: Iterable[Run]) -> list[Run]:
    return sorted(found, key=lambda each: each.place, reverse=True)
