"""What a release's manifest tells of its answers → the profile that a lane decides by. Pure.

Rules that hold here: what nobody measured is a careful prior, and the profile says so; a variant that the manifest's
evaluation does not name is one that nobody measured. A box runs one variant of a release at a time, so there is one
size. A cloud node answers with the release's most right variant, as the evaluation took it for the JPEGs.
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
    return tuple(JpegPoint(each.quality, each.max_side, each.bytes, each.right) for each in judged.jpeg)


def _confidence(known: JudgedVariant) -> tuple[tuple[float, float], ...]:
    """One knot is no curve: too few boxes were tried."""
    return known.confidence if len(known.confidence) > 1 else PRIOR.confidence
