"""What came of windows next to what was said of them. Pure.

Shares are of all frames of a scene's windows together. Late are frames that were taken on (not shed, not superseded)
and had no answer by their deadline; their share is of those taken on. Silence is the longest time without any answer
in time, within the time of a cut.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from agent.simulation.meter import MISSED, NOT_TAKEN_ON
from agent.trial.tally import percentile
from bench.decision_real.around import MOST_FOREIGN
from bench.decision_real.messages import Ended
from protos.outcomes import IN_TIME, Outcome

MOST_POINTS = 5.0  # between what came and what was said
MOST_LATE = 0.01
LEAST_WINDOWS = 20
MOST_SILENCE = 1.0  # seconds until the next rung answers
BY_CLOUD = frozenset({Outcome.OK_CLOUD})
KINDS: dict[str, frozenset[Outcome]] = {
    "on time": frozenset(IN_TIME),
    "by the cloud": BY_CLOUD,
    "given up": frozenset(NOT_TAKEN_ON),
    "late": frozenset(MISSED),
}


@dataclass(frozen=True)
class Played:
    """One window. `said`, `own`: share of each outcome."""

    scene: str
    seed: int
    foreign: float
    ended: Ended
    said: Mapping[str, float]
    own: Mapping[str, float]  # what is said where the times of this very window are known
    overdue: float  # seconds between the end of a frame and its deadline, at most
    trouble: tuple[float, float] = (0.0, 0.0)  # seconds, of a cut

    @property
    def judges(self) -> bool:
        return self.foreign <= MOST_FOREIGN


def silence(played: Played) -> float:
    """Seconds."""
    since, until = played.trouble
    answered = sorted(
        at
        for at, outcome in zip(played.ended.at, played.ended.outcomes, strict=True)
        if since < at < until and outcome in IN_TIME
    )
    moments = [since, *answered, until]
    return max(after - before for before, after in itertools.pairwise(moments))


def scene_figures(windows: Sequence[Played]) -> dict[str, Any]:
    """Of windows of one scene; what was measured, what was said, and where they part."""
    frames = [len(each.ended.outcomes) for each in windows]
    counts = Counter(outcome for each in windows for outcome in each.ended.outcomes)
    real = {name: counts[name] / sum(frames) for name in sorted(counts)}
    said = _mean_of([each.said for each in windows], frames)
    own = _mean_of([each.own for each in windows], frames)
    shares = {kind: _compared(real, said, own, outcomes) for kind, outcomes in KINDS.items()}
    taken_on = 1 - shares["given up"]["real"]
    return {
        "windows": len(windows),
        "frames": sum(frames),
        "shares": shares,
        "points_apart": max((each["points"] for each in shares.values()), key=abs, default=0.0),
        "late_of_taken_on": round(shares["late"]["real"] / taken_on, 4) if taken_on else 0.0,
        "outcomes": {name: round(share, 4) for name, share in real.items()},
        "overdue_s": round(max(each.overdue for each in windows), 3),
        "silence_s": round(max((silence(each) for each in windows if each.trouble[1]), default=0.0), 3),
        **_times([each.ended for each in windows]),
    }


def _compared(
    real: Mapping[str, float], said: Mapping[str, float], own: Mapping[str, float], outcomes: Iterable[str]
) -> dict[str, float]:
    """`points` apart; `own_points` of these are left where the window's own times are known: the rest lay in them."""
    names = list(outcomes)
    came, foretold, told = (sum(shares.get(name, 0.0) for name in names) for shares in (real, said, own))
    return {
        "real": round(came, 4),
        "said": round(foretold, 4),
        "points": round(100 * (came - foretold), 2),
        "own_points": round(100 * (came - told), 2),
    }


def _mean_of(shares: Sequence[Mapping[str, float]], weights: Sequence[int]) -> dict[str, float]:
    names = sorted({name for each in shares for name in each})
    return {
        name: sum(each.get(name, 0.0) * many for each, many in zip(shares, weights, strict=True)) / sum(weights)
        for name in names
    }


def _times(ended: Sequence[Ended]) -> dict[str, float]:
    """What things took, where the reasons lie: ms."""
    lags = [lag for each in ended for lag in each.lags]
    calls = [call for each in ended for call in each.calls]
    asks = [ask.seconds for each in ended for ask in each.asks if ask.answered]
    encodes = [encode for each in ended for encode in each.encodes]
    figures = {"call_p50": median(calls) if calls else 0.0, "cloud_p50": median(asks) if asks else 0.0}
    figures |= {"lag_p99": percentile(lags, 0.99), "call_p99": percentile(calls, 0.99) if calls else 0.0}
    figures |= {"encode_p50": median(encodes) if encodes else 0.0}
    return {f"{name}_ms": round(1e3 * value, 2) for name, value in sorted(figures.items())}


def by_scene(windows: Iterable[Played]) -> dict[str, dict[str, Any]]:
    found: dict[str, list[Played]] = {}
    for each in windows:
        found.setdefault(each.scene, []).append(each)
    return {name: scene_figures(each) for name, each in found.items()}


def foreign_of(windows: Sequence[Played]) -> dict[str, float]:
    loads = [each.foreign for each in windows]
    return {"mean": round(fmean(loads), 3), "most": round(max(loads), 3)} if loads else {}


def missed(scenes: Mapping[str, Mapping[str, Any]], valid: int) -> list[str]:
    """As sentences; of what windows that judge say."""
    found = [] if valid >= LEAST_WINDOWS else [f"{valid} windows judge, of {LEAST_WINDOWS}: others took the cores"]
    for name, figures in scenes.items():
        for kind, each in figures["shares"].items():
            if abs(each["points"]) > MOST_POINTS:
                found.append(f"{name}: {kind} is {each['points']:+.1f} points from what was said, of {MOST_POINTS:g}")
        if figures["silence_s"] >= MOST_SILENCE:
            found.append(f"{name}: nothing was answered for {figures['silence_s']:.2f} s")
        if name in ("calm", "overload") and figures["late_of_taken_on"] > MOST_LATE:
            found.append(f"{name}: {figures['late_of_taken_on']:.1%} of what was taken on is late, of {MOST_LATE:.0%}")
    return found


def reasons(scenes: Mapping[str, Mapping[str, Any]], told_ms: Mapping[str, float]) -> list[str]:
    """Why what came lies further from what was said than it may, as sentences. `told_ms`: of a call, by scene."""
    found = []
    for name, figures in scenes.items():
        for kind, each in figures["shares"].items():
            if abs(each["points"]) <= MOST_POINTS:
                continue
            rest = (
                f"{name}, {kind}: of {each['points']:+.1f} points {each['own_points']:+.1f} are left with its own times"
            )
            if abs(each["own_points"]) <= MOST_POINTS:
                rest += f"; a call took {figures['call_p50_ms']:g} ms where {told_ms[name]:.4g} had been measured"
            found.append(rest)
    return found


def table(title: str, scenes: Mapping[str, Mapping[str, Any]]) -> str:
    """For a person: real, said by the simulator, points apart; the last as if it had known the window's own times."""
    lines = [title, f"{'scene':12}{'windows':>8}{'frames':>8}" + "".join(f"{kind:>28}" for kind in KINDS)]
    for name, figures in scenes.items():
        cells = [
            f"{100 * each['real']:8.1f}{100 * each['said']:7.1f}{each['points']:+6.1f}{each['own_points']:+6.1f}"
            for each in figures["shares"].values()
        ]
        lines.append(
            "".join([f"{name:12}{figures['windows']:8}{figures['frames']:8}", *(f"{cell:>28}" for cell in cells)])
        )
        of = {key[:-3].replace("_", " "): value for key, value in figures.items() if key[-3:] == "_ms"}
        times = ", ".join(f"{key} {value:g}" for key, value in of.items())
        late, quiet = figures["late_of_taken_on"], figures["silence_s"]
        lines.append(f"{'':12}late of taken on {late:.2%}, silence {quiet:g} s; ms: {times}")
    return "\n".join(lines)
