"""What a release's manifest tells of its answers → the profile that a lane decides by. Pure.

Rules that hold here: what nobody measured is a careful prior, and the profile says so; a variant that the manifest's
evaluation does not name is one that nobody measured. A box runs one variant of each size. Of several sizes of which one
was not measured, each is thought right a little more often than the next cheaper one, or no lane would run it. Scores
are calibrated as the largest size's. A cloud node answers with the release's most right variant, as the evaluation took
it for the JPEGs. Of these only the ways that are best at some price of a byte are kept: a lane weighs each of them at
each decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agent.offload.profile import PRIOR, JpegPoint, Profile, SizeProfile
from protos.judged import Judged, JudgedVariant

CHEAPER = 0.9  # of how often the next larger size is right: a careful guess


def profile(judged: Judged | None, variant: str, sizes: Mapping[str, str] | None = None) -> Profile:
    """Of a release whose variant of that name is loaded here. `judged`: the section of its manifest.

    `sizes`: the variant of each size that is loaded, cheapest first, where there are several; `variant` is the largest.
    """
    sizes = sizes or {PRIOR.sizes[0].name: variant}
    told = {size: judged.variant(name) for size, name in sizes.items()} if judged is not None else {}
    measured = tuple(SizeProfile(size, each.right) for size, each in told.items() if each is not None)
    known = judged.variant(variant) if judged is not None else None
    if judged is None or known is None or len(measured) < len(sizes):
        return _guessed(variant, sizes)
    return Profile(
        sizes=measured,
        cloud=max(each.right for each in judged.variants),
        jpeg=_jpegs(judged) or PRIOR.jpeg,
        confidence=_confidence(known),
        measured=True,
    )


def _guessed(variant: str, sizes: Mapping[str, str]) -> Profile:
    """The largest as PRIOR has it, and each cheaper one a little less."""
    if list(sizes) == [PRIOR.sizes[0].name]:
        return PRIOR
    dearest_first = list(sizes)[::-1]
    ranked = sorted(dearest_first, key=lambda size: sizes[size] != variant)  # the largest before all
    guesses = {size: PRIOR.sizes[0].metric * CHEAPER**rank for rank, size in enumerate(ranked)}
    return replace(PRIOR, sizes=tuple(SizeProfile(size, guesses[size]) for size in sizes))


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
