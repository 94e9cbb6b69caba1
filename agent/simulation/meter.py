"""What a contender reached in a world, in figures. Pure.

Useful is the value that was earned over the value that was offered: of a frame answered in time, the chance that such
an answer to it is right. Late are frames that were taken on (not shed, not superseded) and had no answer by their
deadline. The age of what is known of a camera (AoPI) is looked at when each of its frames is due: since the capture of
the newest frame that was answered, or since it came on, which is after a second without a frame. The share of a camera
is of its frames that were in time. Frames that a lowered camera did not give were offered all the same: they count in
all of that as frames without an answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.offload.terms import Terms
from agent.simulation.contender import CLOUD, NOT_GIVEN
from agent.simulation.drive import Played
from agent.simulation.world import Numbers, World
from protos.outcomes import IN_TIME, Outcome

InTime = npt.NDArray[np.bool_]

WINDOW = 60.0  # seconds, in which the uplink may not exceed its budget by more than a twentieth
CAME_ON = 1.0  # seconds without a frame, after which a camera counts as having been off
NOT_TAKEN_ON = frozenset({Outcome.SHED, Outcome.SUPERSEDED})
MISSED = frozenset({Outcome.EXPIRED, Outcome.CLOUD_LATE})
COSTS = Terms()


@dataclass(frozen=True)
class Figures:
    """Shares are of frames, 0 to 1; times are milliseconds from capture to answer, of all answers."""

    frames: int
    useful: float
    right: float  # as the dice fell
    on_time: float
    late: float  # of those taken on
    p50_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    age_ms: float
    age_p95_ms: float
    jain: float
    least_share: float  # of any camera, over the mean
    mbit_s: float  # given to the link
    window_mbit_s: float  # the most in any 60 s
    joules: float  # per frame
    usd_day: float
    decision_us: float  # p99 of one event, thread CPU time
    core: float  # share of one that deciding takes
    outcomes: dict[str, int]
    answers: dict[str, int]  # in time, by whom


def measured(world: World, played: Played) -> Figures:
    in_time: InTime = np.array([fate.outcome in IN_TIME for fate in played.fates])
    p50, p95, p99, p999 = _percentiles(_latencies(world, played), (50, 95, 99, 99.9))
    ages = _ages(world, in_time)
    shares = _shares(world, in_time)
    seconds = world.scenario.seconds
    return Figures(
        frames=world.frames,
        useful=float((_earned(world, played) * world.value)[in_time].sum() / world.value.sum()),
        right=float((_right(world, played) * world.value)[in_time].sum() / world.value.sum()),
        on_time=float(in_time.mean()),
        late=_late(played),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        p999_ms=p999,
        age_ms=float(1e3 * ages.mean()),
        age_p95_ms=_percentiles(1e3 * ages, (95,))[0],
        jain=jain(shares),
        least_share=float(min(shares) / np.mean(shares)) if max(shares) else 0.0,
        mbit_s=sum(bits for _, bits in played.sent) / seconds / 1e6,
        window_mbit_s=most_in_window(played.sent, WINDOW) / min(WINDOW, seconds) / 1e6,
        joules=_joules(played) / world.frames,
        usd_day=_usd(played) * 86_400 / seconds,
        decision_us=_percentiles(1e6 * np.array(played.deciding), (99,))[0],
        core=sum(played.deciding) / seconds,
        outcomes=dict(sorted(Counter(fate.outcome for fate in played.fates).items())),
        answers=dict(sorted(Counter(fate.by or "" for fate in played.fates if fate.outcome in IN_TIME).items())),
    )


def jain(shares: Sequence[float]) -> float:
    """1 where all have the same, 1/n where one has all (Jain, Chiu and Hawe, 1984)."""
    squares = len(shares) * sum(share * share for share in shares)
    return sum(shares) ** 2 / squares if squares else 0.0


def most_in_window(sent: Sequence[tuple[float, float]], window: float) -> float:
    """The most bits in any `window` seconds; `sent` in order of time."""
    most, within, first = 0.0, 0.0, 0
    for at, bits in sent:
        within += bits
        while sent[first][0] <= at - window:
            within -= sent[first][1]
            first += 1
        most = max(most, within)
    return most


def _way(world: World, played: Played, number: int) -> int | None:
    """The column of the answer that was taken."""
    fate, sizes = played.fates[number], [size.name for size in world.scenario.sizes]
    if fate.by is None:
        return None
    return len(sizes) + fate.picture if fate.by == CLOUD else sizes.index(fate.by)


def _earned(world: World, played: Played) -> Numbers:
    ways = (_way(world, played, number) for number in range(world.frames))
    return np.array([0.0 if way is None else world.chance[number, way] for number, way in enumerate(ways)])


def _right(world: World, played: Played) -> Numbers:
    ways = (_way(world, played, number) for number in range(world.frames))
    return np.array([0.0 if way is None else float(world.right[number, way]) for number, way in enumerate(ways)])


def _late(played: Played) -> float:
    given = [fate for fate in played.fates if fate.outcome != NOT_GIVEN]
    taken_on = [fate for fate in given if fate.outcome not in NOT_TAKEN_ON]
    return sum(fate.outcome in MISSED for fate in taken_on) / max(1, len(taken_on))


def _latencies(world: World, played: Played) -> Numbers:
    fates = zip(played.fates, world.captured.tolist(), strict=True)
    return np.array([1e3 * (fate.at - captured) for fate, captured in fates if fate.by is not None])


def _ages(world: World, in_time: InTime) -> Numbers:
    """Seconds, at each frame's deadline."""
    ages: list[float] = []
    newest: dict[int, float] = {}
    last: dict[int, float] = {}
    for number, (camera, captured) in enumerate(zip(world.camera.tolist(), world.captured.tolist(), strict=True)):
        if captured - last.get(camera, -CAME_ON) >= CAME_ON:
            newest[camera] = captured
        last[camera] = captured
        if in_time[number]:
            newest[camera] = captured
        ages.append(float(world.deadline[number]) - newest[camera])
    return np.array(ages)


def _shares(world: World, in_time: InTime) -> list[float]:
    offered: Counter[int] = Counter(world.camera.tolist())
    answered: defaultdict[int, int] = defaultdict(int)
    for camera, good in zip(world.camera.tolist(), in_time.tolist(), strict=True):
        answered[camera] += bool(good)
    return [answered[camera] / many for camera, many in sorted(offered.items())]


def _joules(played: Played) -> float:
    busy, megabits = sum(seconds for _, seconds, _ in played.calls), sum(bits for _, bits in played.sent) / 1e6
    return busy * COSTS.joules_per_local_second + megabits * COSTS.joules_per_megabit


def _usd(played: Played) -> float:
    gigabytes = sum(bits for _, bits in played.sent) / 8e9
    return gigabytes * COSTS.money_per_gigabyte + played.served * COSTS.money_per_cloud_second


def _percentiles(of: Numbers, which: Sequence[float]) -> list[float]:
    return [float(value) for value in np.percentile(of, which)] if len(of) else [0.0] * len(which)
