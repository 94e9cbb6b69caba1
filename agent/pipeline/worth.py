"""What a release's manifest tells of its answers → the profile that a lane decides by. Pure.

Rules that hold here: what nobody measured is a careful prior, and the profile says so; a variant that the manifest's
evaluation does not name is one that nobody measured. A box runs one variant of a release at a time, so there is one
size. A cloud node answers with the release's most right variant, as the evaluation took it for the JPEGs. Of these only
the ways that are best at some price of a byte are kept: a lane weighs each of them at each decision.
"""

from __future__ import annotations

from agent.offload.profile import PRIOR, JpegPoint, Profile, SizeProfile
from protos.judged import Judged, JudgedVariant


def profile(judged: Judged | None, variant: str) -> Profile:
    """Of a release whose variant of that name is loaded here. `judged`: the section of its manifest."""
    known = judged.variant(variant) if judged is not None else None
    if judged is None or known is None:
        return PRIOR
    return Profile(
        sizes=(SizeProfile("", known.right),),
        cloud=max(each.right for each in judged.variants),
        jpeg=_jpegs(judged) or PRIOR.jpeg,
        confidence=_confidence(known),
        measured=True,
    )


def _jpegs(judged: Judged) -> tuple[JpegPoint, ...]:
    """Smallest first: the upper hull of right answers over bytes, from sending nothing on."""
    kept: list[JpegPoint] = []
    for each in sorted(judged.jpeg, key=lambda each: (each.bytes, -each.right)):
        point = JpegPoint(each.quality, each.max_side, each.bytes, each.right)
        while kept and _gain(kept[-2] if len(kept) > 1 else None, kept[-1]) <= _gain(kept[-1], point):
            kept.pop()
        if _gain(kept[-1] if kept else None, point) > 0:
            kept.append(point)
    return tuple(kept)


def _gain(before: JpegPoint | None, point: JpegPoint) -> float:
    """Right answers that a further byte brings."""
    if before is None:
        return point.metric / point.bytes
    more = point.bytes - before.bytes
    return (point.metric - before.metric) / more if more else 0.0


def _confidence(known: JudgedVariant) -> tuple[tuple[float, float], ...]:
    """One knot is no curve: too few boxes were tried."""
    return known.confidence if len(known.confidence) > 1 else PRIOR.confidence
