"""What a release's manifest tells of its answers: how often they are right, per size, per picture sent up, per score.

Rules that hold here:

- A share is of frames answered correctly, from 0 to 1, as packaging's evaluation counted them.
- Sizes stand cheapest first. What a call of each costs is no part of this: the box measures it (`cost`).
- A release that tells nothing has PRIOR: careful guesses, shown as such (`measured` is False).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SizeProfile:
    """One size of a release; `name` is empty where there is only one."""

    name: str
    metric: float  # share of frames answered correctly on the box


@dataclass(frozen=True, slots=True)
class JpegPoint:
    """A way to encode a picture for the cloud, and what the cloud makes of it."""

    quality: int  # of the JPEG, 1 to 100
    max_side: int  # pixels, of the longer side
    bytes: int  # of a usual picture
    metric: float  # share of frames answered correctly by the cloud


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a release before it has answered a frame here."""

    sizes: tuple[SizeProfile, ...]  # cheapest first
    cloud: float  # share of frames answered correctly by the cloud, on pictures as they were captured
    jpeg: tuple[JpegPoint, ...]
    confidence: tuple[tuple[float, float], ...]  # raw score -> P(correct): knots, rising in both
    measured: bool

    def metric(self, size: str) -> float:
        """Share of frames that this size answers correctly; the cheapest's for a name that is not known."""
        return next((known.metric for known in self.sizes if known.name == size), self.sizes[0].metric)


PRIOR = Profile(
    sizes=(SizeProfile("", 0.6),),
    cloud=0.75,
    jpeg=(JpegPoint(quality=80, max_side=640, bytes=43_000, metric=0.75),),  # as bench_jpeg has drawn ones of 640×480
    confidence=((0.0, 0.05), (0.5, 0.4), (1.0, 0.85)),  # raw scores promise too much
    measured=False,
)
