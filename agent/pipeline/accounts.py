"""The last frames of a deployment, and why each went where it went: what is told of a frame that somebody asks about.

Kept in memory, as many as MOST, the newest; the decision log keeps a few of them for longer.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.offload.decisions import Decision, decision
from agent.offload.explain import Account
from agent.offload.standing import route
from agent.pipeline.lane import Lane
from agent.types import Finished
from protos.ids import CameraName

MOST = 2048  # frames of a deployment; about a kilobyte each


class Accounts:
    """By camera and number of the frame. A number comes again after a capture worker has: the newest is meant."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._open: dict[tuple[CameraName, int], Account] = {}  # of frames under way
        self._ended: dict[tuple[CameraName, int], Decision] = {}  # in order of their ends

    def begun(self, account: Account) -> None:
        """A frame came to its lane."""
        self._open[account.camera, account.seq] = account

    def ended(self, finished: Finished, right: Callable[[Account], float], largest: str = "") -> Decision | None:
        """Its end; None of a frame that came to no lane. `right`: P(its answer is right), by its account; `largest`:
        size of the model, "" where it has one."""
        key = finished.tap.camera, finished.seq
        account = self._open.pop(key, None)
        if account is None:
            return None
        made = decision(account, finished, right(account), route(account, largest))
        self._ended.pop(key, None)
        self._ended[key] = made
        if len(self._ended) > self._most:
            del self._ended[next(iter(self._ended))]
        return made

    def of(self, camera: CameraName, seq: int = 0) -> Decision | None:
        """Of the frame of that number, or of the newest for 0."""
        if seq:
            return self._ended.get((camera, seq))
        return next((made for made in reversed(self._ended.values()) if made.camera == camera), None)

    def oldest(self, camera: CameraName) -> Decision | None:
        """That is known of it."""
        return next((made for made in self._ended.values() if made.camera == camera), None)


def budgets(lane: Lane, account: Account, now: float) -> dict[str, float]:
    """What a frame meets beside what its scores say: bits that may go up in this minute, and what each budget costs."""
    there = lane.there
    return {
        "value": lane.terms.worth(account.camera),
        "uplink_left": there.budget.left(now),
        **{f"price_{name}": price for name, price in there.prices.shown().items()},
    }


def right(lane: Lane, finished: Finished, account: Account) -> float:
    """P(the answer is right), 0 to 1: the share that was evaluated, of the size that ran or of such pictures sent up.

    One measure for both: shares of frames, counted alike where the release was packaged; guesses where it was not.
    How sure an answer is moves neither. That is the P of its worst box, which is far below the share where boxes are
    many, and scores of the cloud's model are not calibrated here.
    """
    return lane.profile.metric(account.size) if finished.where == "local" else account.sent
