"""The door of one engine. Pure: values and `now` (monotonic seconds) in, actions out.

Rules that hold here:

- Nobody waits while there is room, and nobody begins who can no longer be in time.
- A request with a deadline is let in when it will be in time behind what goes before it, and nobody who was let in
  before would be late by it, but for those of a lesser priority: they make room. What goes before are those inside and
  those of its own partition with an earlier deadline; of the other partitions, as much as their shares allow.
- What a partition does not use is lent. A promise counts on what is lent only where its owner has been silent for a
  second.
- Where several sites ask, one that has used its share up is let in with a deadline only where nobody waits; without
  one it waits behind those who have not.
- Requests without a deadline go behind those with one, and have the rules of `standing`.
- An idle engine that nobody has asked for a second is not known: it is asked, whatever was planned.

The order and the test are Jackson's earliest deadline first (1955) with the feasibility of each later deadline, the
partitions are `sharing`'s, the sites are `sites`'.
"""

from __future__ import annotations

from agent.door.asked import Action, Asked, Begin, Turned
from agent.door.foretelling import Foretelling
from agent.door.line import Line
from agent.door.shares import SHARES, Partition, Shares
from agent.door.sharing import Sharing
from agent.door.sites import Sites
from agent.offload.cost import CostLine

ANSWER_SECONDS = 0.005  # kept of each deadline, for the way back
KNOWN_SECONDS = 1.0  # that a cost holds for an idle engine
LENT_SECONDS = 1.0  # without a request, until a partition's share is counted on by others
STANDS_CALLS = 32  # what a line without deadlines may have before it, in calls, where that is longer than a second
NOTHING: list[Action] = []


class Door:
    """`cost`: of a call of n examples, in seconds; `width`: how many the engine runs at once; `room`: takes at once."""

    def __init__(self, cost: CostLine, width: int, room: int, shares: Shares = SHARES) -> None:
        self.cost = cost
        self.room = room
        self.inside = 0
        self.sites = Sites()
        self._width = max(1, width)
        self._inside_pace = 0.0
        self._moved = 0.0  # when somebody last went out, or came into the empty engine
        self._waiting: dict[int, Asked] = {}
        self._lines = {partition: Line() for partition in shares}
        self._came = dict.fromkeys(shares, float("-inf"))
        self._sharing = Sharing(shares)
        self._foretelling = Foretelling()
        self._plan()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    # ---- the usual case: nobody waits ----

    def step_in(self, partition: Partition, site: str, deadline: float, now: float) -> float | None:
        """What `step_out` is to be told, for one example that may go in without more ado; None: ask with `arrive`."""
        if self._waiting or self.inside >= self.room or site != self.sites.only:
            return None
        if deadline < now + self._inside_pace + self._planned + ANSWER_SECONDS:
            return None
        self._came[partition] = now
        if not self.inside:
            self._moved = now
        self.inside += 1
        self._inside_pace += self._pace
        return self._pace

    def step_out(self, pace: float, now: float) -> list[Action]:
        """One that was inside has ended, however."""
        self.inside -= 1
        self.sites.done += pace
        self._inside_pace = self._inside_pace - pace if self.inside else 0.0
        self._moved = now
        return self._fill(now) if self._waiting else NOTHING

    def ended(self, asked: Asked, now: float) -> list[Action]:
        """One that asked with `arrive` has its answer."""
        if asked.timed:
            self._foretelling.learn(asked.foretold, now - asked.arrived)
        return self.step_out(asked.pace, now)

    def learn(self, rows: int, seconds: float, now: float) -> None:
        """A call took so long in the engine."""
        self.cost.observe(rows, seconds, now)
        self._plan()

    # ---- who comes and who leaves ----

    def would_turn_away(self, asked: Asked, now: float) -> Turned | None:
        """What `arrive` would say now; nothing is changed."""
        self._weigh(asked)
        if self._goes_in(asked, now):
            return None
        _, refused = self._judged(asked, now)
        return self._turned(asked, now) if refused else None

    def arrive(self, asked: Asked, now: float) -> list[Action]:
        """Somebody asks: it begins, or waits, or is turned away, itself or others for it."""
        self._weigh(asked)
        self._came[asked.partition] = now
        self.sites.asked(asked.site, now)
        if self._goes_in(asked, now):
            self._enter(asked.pace, now)
            self.sites.spend(asked.site, asked.pace)
            return [Begin(asked.number)]
        victims, refused = self._judged(asked, now)
        if refused:
            return [self._turned(asked, now)]
        gone: list[Action] = [self._turned(each, now) for each in victims]
        for each in victims:
            self._take_out(each, began=False)
        self._wait(asked, now)
        return [*gone, *self._fill(now)]

    def leave(self, number: int) -> None:
        """One that waited does not want it any more. No error where it does not wait."""
        asked = self._waiting.get(number)
        if asked is not None:
            self._take_out(asked, began=False)

    # ---- judging ----

    def _goes_in(self, asked: Asked, now: float) -> bool:
        """May it begin at once?"""
        if self._waiting or self.inside >= self.room:
            return False
        if self.inside == 0 and (now - self.cost.last_at >= KNOWN_SECONDS or self.cost.improving):
            return True
        return self._in_time(asked, 0.0, now)

    def _judged(self, asked: Asked, now: float) -> tuple[list[Asked], bool]:
        """Who makes room for it, and whether it is turned away itself."""
        line = self._lines[asked.partition]
        if asked.timed:
            if self._waiting and not self.sites.in_credit(asked.site):
                return [], True
            late = self._late(asked, line, now)
            if late is None:
                return [], True
            if late or not line.full:
                return late, False
        if not line.full:
            return [], False
        victim = line.from_largest_site(asked)
        return ([victim], False) if victim is not None else ([], True)

    def _late(self, asked: Asked, line: Line, now: float) -> list[Asked] | None:
        """Whom of a lesser priority it makes late; None: it would be late itself, or make others late."""
        stretch, ahead = self._stretch(asked.partition, now), line.ahead(asked)
        if not self._in_time(asked, stretch * ahead, now):
            return None
        victims = []
        with_it, without = ahead + asked.pace, ahead
        for each in line.timed:
            if each.order < asked.order:
                continue
            if self._in_time(each, stretch * without, now) and not self._in_time(each, stretch * with_it, now):
                if each.priority <= asked.priority:
                    return None
                victims.append(each)
            else:
                with_it += each.pace
            without += each.pace
        return victims

    def _in_time(self, asked: Asked, ahead: float, now: float) -> bool:
        """Would it be, with so much of the lines before it?"""
        if not asked.timed:
            return True
        until, call = self._until(ahead, now), self._call(asked.rows)
        spent = max(until + self._planned * call / self._expected, self._foretelling.margin * (until + call))
        return now + spent + ANSWER_SECONDS <= asked.deadline

    def _until(self, ahead: float, now: float) -> float:
        """Seconds until one begins that has so much of the lines before it."""
        if self.inside < self._width and not ahead:
            return 0.0
        done = min(now - self._moved, self._inside_pace / self.inside) if self.inside else 0.0
        return self._inside_pace - done + ahead

    def _stretch(self, partition: Partition, now: float) -> float:
        asks = [each for each, line in self._lines.items() if line or now - self._came[each] < LENT_SECONDS]
        return self._sharing.stretch(partition, asks)

    def _turned(self, asked: Asked, now: float) -> Turned:
        ahead = self._lines[asked.partition].ahead(asked)
        return Turned(asked.number, self._until(self._stretch(asked.partition, now) * ahead, now))

    # ---- moving ----

    def _weigh(self, asked: Asked) -> None:
        asked.pace = self._call(asked.rows) / self._width

    def _call(self, rows: int) -> float:
        return self._expected if rows == 1 else self.cost.expected(rows)

    def _enter(self, pace: float, now: float) -> None:
        if not self.inside:
            self._moved = now
        self.inside += 1
        self._inside_pace += pace

    def _wait(self, asked: Asked, now: float) -> None:
        line = self._lines[asked.partition]
        until = self._until(self._stretch(asked.partition, now) * line.ahead(asked), now)
        asked.foretold = until + self._call(asked.rows)
        line.add(asked)
        self._waiting[asked.number] = asked
        self.sites.spend(asked.site, asked.pace)

    def _take_out(self, asked: Asked, *, began: bool) -> None:
        del self._waiting[asked.number]
        self._lines[asked.partition].remove(asked)
        if not began:
            self.sites.spend(asked.site, -asked.pace)

    def _fill(self, now: float) -> list[Action]:
        """Let in whom there is room for."""
        actions: list[Action] = []
        while self._waiting and self.inside < self.room:
            partition = self._sharing.next([each for each, line in self._lines.items() if line])
            asked = self._chosen(self._lines[partition], now, actions)
            if asked is None:
                continue
            self._take_out(asked, began=True)
            self._sharing.took(partition, asked.pace)
            self._enter(asked.pace, now)
            actions.append(Begin(asked.number))
        return actions

    def _chosen(self, line: Line, now: float, actions: list[Action]) -> Asked | None:
        """Who begins, of a line that is not empty; those are turned away whose time has come before their turn."""
        while line.timed:
            first = line.timed[0]
            if now + self._call(first.rows) <= first.deadline:
                return first
            self._turn_away(first, actions)
        while line.untimed:
            oldest = line.oldest_untimed()
            if not line.standing.drops(now - oldest.arrived, now):
                return line.next_untimed(self.sites.in_credit)
            self._turn_away(oldest, actions)
        return None

    def _turn_away(self, asked: Asked, actions: list[Action]) -> None:
        self._take_out(asked, began=False)
        actions.append(Turned(asked.number, self._inside_pace))

    def _plan(self) -> None:
        """What is asked at each request, counted once."""
        self._expected, self._planned = self.cost.expected(), self.cost.planned()
        self._pace = self._expected / self._width
        for line in self._lines.values():
            line.standing.target = max(1.0, STANDS_CALLS * self._pace)
