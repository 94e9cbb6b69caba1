"""What a box makes of the cache of its site: whether it asks it now, what came from it, why it does not ask.

Rules that hold here: one that fails is left alone for a while, longer each time if it brings nothing; one whose bytes
made another file than was named, for an hour. What it does not have it is asked for again after a minute. Digests of
files that took bytes from it are remembered, for such a file is proven before anybody else sees it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from agent.types import Problem
from protos.errors import LongshoreError, Retryable
from protos.ids import Digest
from protos.problems import NOTICE

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_SECONDS, LONGEST_SECONDS = 15.0, 900.0  # it is left alone, after the first failure and after many
LIED_SECONDS = 3600.0
LACKING_SECONDS = 60.0
WORTH = 64 << 10  # bytes; one that brings as many between two failures is not left alone longer each time
TOLD_SECONDS = 3600.0  # a failure is told that long, unless it does well
MOST_REMEMBERED = 1024  # digests
WRONG = "site-cache-wrong"


class Lacking(Retryable):
    """The cache has no such file now, and does not get it."""


class Origin(StrEnum):
    """Where bytes of release files came from."""

    CONTROL_PLANE = "control-plane"
    SITE_CACHE = "site-cache"


@dataclass
class Standing:
    """`place`: of the cache, for people; "": there is none. Times are monotonic seconds."""

    place: str = ""
    monotonic: Callable[[], float] = time.monotonic
    came: Counter[Origin] = field(default_factory=Counter)  # bytes
    _failures: int = 0
    _brought: int = 0  # bytes, since it failed last
    _until: float = 0.0
    _problem: Problem | None = None
    _told_until: float = 0.0
    _lacking: dict[Digest, float] = field(default_factory=dict)  # until when
    _gave: dict[Digest, None] = field(default_factory=dict)

    def asks(self, digest: Digest) -> bool:
        """Is the cache to be asked for this file now?"""
        now = self.monotonic()
        return bool(self.place) and now >= max(self._until, self._lacking.get(digest, 0.0))

    def took(self, origin: Origin, digest: Digest, count: int) -> None:
        """So many bytes of this file came."""
        self.came[origin] += count
        if origin is Origin.SITE_CACHE:
            self._brought += count
            _remember(self._gave, digest, None)

    def gave(self, digest: Digest) -> bool:
        """Did any byte of this file come from the cache, since it was last proven?"""
        return digest in self._gave

    def proven(self, digest: Digest) -> None:
        """The file is what its digest names."""
        self._gave.pop(digest, None)

    def did_well(self) -> None:
        """It brought what was asked for."""
        if self._problem is not None:
            log.info("the site cache %s does well again", self.place)
        self._failures, self._problem = 0, None

    def failed(self, digest: Digest, error: LongshoreError) -> None:
        """It did not bring the file. Where it has none it is asked for others; else it is left alone for a while."""
        if isinstance(error, Lacking):
            _remember(self._lacking, digest, self.monotonic() + LACKING_SECONDS)
            return
        if self._brought >= WORTH:
            self._failures = 0
        self._brought = 0
        seconds = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._leave(seconds, Problem(NOTICE, f"the site cache {self.place} did not bring a file ({error})"))

    def lied(self, digest: Digest) -> None:
        """A file with bytes of it was another than its digest names."""
        self.proven(digest)
        self._leave(
            LIED_SECONDS,
            Problem(
                WRONG,
                f"a file {digest[:19]}… that came from the site cache {self.place} was another one, and was thrown "
                "away; look who answers at that address, and at that box's disk",
            ),
        )

    def problems(self) -> list[Problem]:
        """What an operator should see."""
        told = self._problem is not None and self.monotonic() < self._told_until
        return [self._problem] if told and self._problem else []

    def _leave(self, seconds: float, problem: Problem) -> None:
        now, told = self.monotonic(), {each.code for each in self.problems()}
        self._until, self._told_until = max(self._until, now + seconds), now + max(seconds, TOLD_SECONDS)
        if problem.code == WRONG or WRONG not in told:
            self._problem = Problem(problem.code, f"{problem.message}; files come from the control plane meanwhile")
        log.warning("%s; it is not asked for %.0f s", problem.message, seconds)


def _remember(known: dict[Digest, T], digest: Digest, value: T) -> None:
    known.pop(digest, None)
    known[digest] = value
    while len(known) > MOST_REMEMBERED:
        del known[next(iter(known))]
