"""A profile of JPEGs: which are tried, and what the answer on each is worth. Pure.

After AWStream (Zhang et al., 2018): quality and size against bytes and metric, measured beforehand. Fewer pictures than
the release was judged by are enough, for each is compared with itself unsent: what sending costs is taken off the
figure of all pictures, so that which pictures were sent does not show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controlplane.evaluating.measures import Measure
from controlplane.quantizing.judges import Answers
from protos.judged import JudgedJpeg, JudgedVariant, rounded
from protos.manifest import ImageInput

QUALITIES = (30, 50, 70, 85)
SIDES = (1.0, 0.75, 0.5)  # of the longer side of the model's input: a node would only shrink what is larger
LEAST_SIDE = 16  # pixels
PICTURES = 200  # sent in each way

Sent = tuple[int, int]  # quality, pixels of the longer side at most


@dataclass(frozen=True)
class Sending:
    """The answers to pictures that were sent in one way, and the bytes of each."""

    answers: Answers
    bytes: Sequence[int]


def grid(image: ImageInput) -> list[Sent]:
    longest = max(image.height, image.width)
    sides = dict.fromkeys(max(LEAST_SIDE, round(longest * share)) for share in SIDES)
    return [(quality, side) for side in sides for quality in QUALITIES]


def points(
    sendings: Mapping[Sent, Sending], all_of_it: JudgedVariant, unsent: Answers, measure: Measure
) -> tuple[JudgedJpeg, ...]:
    """What each way is worth. `unsent`: the best variant's answers to all pictures; `all_of_it`: their figures."""
    known = dict(unsent)
    return tuple(_point(way, sending, all_of_it, known, measure) for way, sending in sendings.items())


def _point(
    way: Sent, sending: Sending, all_of_it: JudgedVariant, known: Mapping[str, object], measure: Measure
) -> JudgedJpeg:
    same = [(name, known[name]) for name, _ in sending.answers]
    lost_metric = measure.metric(same) - measure.metric(sending.answers)
    lost_right = measure.right(same) - measure.right(sending.answers)
    return JudgedJpeg(
        *way,
        bytes=max(1, round(sum(sending.bytes) / len(sending.bytes))),
        metric=_share(all_of_it.metric - lost_metric),
        right=_share(all_of_it.right - lost_right),
    )


def _share(value: float) -> float:
    """A picture less can look better than it is: never above all, nor below nothing."""
    return rounded(min(1.0, max(0.0, value)))
