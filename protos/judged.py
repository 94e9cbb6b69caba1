"""What a release is worth, as packaging measured it: the section `judged` of a manifest ↔ value. Pure.

Rules that hold here:

- The section may be absent: nobody evaluated the release, and a box takes careful priors. So it is with a variant that
  the section does not name. A reader that does not know the section keeps it as any field it does not know.
- Shares and scores are whole ten-thousandths: a fraction has several spellings, and a manifest has one.
- *Right* is the share of pictures whose answer is the labels' (F1 of its boxes at IoU 0.5 at least 0.8; of a
  classifier the first class), which is what the choice between box and cloud is about. `metric` is the gate's (mAP50,
  top-1 accuracy), for people.
- *Confidence* is calibration: knots of (score, share of such answers that were right), neither ever falling.
- *Cost* is t(n) = frame·n + call of a call of n pictures, on one thread of the machine that packaged. It compares
  variants; a box measures its own.
- A point of `jpeg` is what the answer on such a picture is worth, by the best variant, as a cloud node would give it.

    {"metric": "mAP50", "pictures": 512, "objects": 20716,
     "variants": [{"name": "fp32", "metric": 9217, "right": 8120, "confidence": [[500, 210], [9000, 9700]],
                   "cost": {"callMicroseconds": 400, "frameMicroseconds": 6300}}],
     "jpeg": [{"quality": 70, "maxSide": 320, "bytes": 9800, "metric": 9190, "right": 8050}, …]}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from protos.errors import InvalidManifest
from protos.ids import is_one_line
from protos.strict_json import Json, items, number, rest, text, thing, whole

MOST_NAME = 64  # characters, of a metric
MOST_KNOTS = 64  # of a calibration
MOST_POINTS = 64  # of a JPEG profile
MOST_SIDE = 8192  # pixels
_PARTS = 10_000  # of one
_MOST = 1 << 40

Knots = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Cost:
    """Microseconds: of each further picture of a call, and of a call whatever is in it."""

    frame: int
    call: int
    unknown: Json = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class JudgedVariant:
    """Shares of 0 to 1, in steps of a ten-thousandth. `cost` is None where it was not measured."""

    name: str
    metric: float
    right: float
    confidence: Knots = ()
    cost: Cost | None = None
    unknown: Json = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class JudgedJpeg:
    """Of pictures sent so: mean bytes, and shares as above."""

    quality: int  # 1 to 100
    max_side: int  # pixels, of the longer side
    bytes: int
    metric: float
    right: float
    unknown: Json = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Judged:
    """By so many labelled pictures with so many objects (of a classifier: as many as pictures)."""

    metric: str  # its name: mAP50, top-1 accuracy
    pictures: int
    objects: int
    variants: tuple[JudgedVariant, ...]
    jpeg: tuple[JudgedJpeg, ...] = ()
    unknown: Json = field(default_factory=dict, compare=False)

    def variant(self, name: str) -> JudgedVariant | None:
        """None where nobody evaluated it."""
        return next((each for each in self.variants if each.name == name), None)


def rounded(share: float) -> float:
    """To what a manifest can hold."""
    return round(share * _PARTS) / _PARTS


def to_document(judged: Judged) -> Json:
    """`parse(to_document(j)) == j`, where j holds rounded shares."""
    known: Json = {
        "metric": judged.metric,
        "pictures": judged.pictures,
        "objects": judged.objects,
        "variants": [_variant_document(each) for each in judged.variants],
        "jpeg": [_jpeg_document(each) for each in judged.jpeg],
    }
    return judged.unknown | known


def _variant_document(variant: JudgedVariant) -> Json:
    known: Json = {"name": variant.name, "metric": _parts(variant.metric), "right": _parts(variant.right)}
    known["confidence"] = [[_parts(score), _parts(share)] for score, share in variant.confidence]
    if variant.cost is not None:
        cost = {"callMicroseconds": variant.cost.call, "frameMicroseconds": variant.cost.frame}
        known["cost"] = variant.cost.unknown | cost
    return variant.unknown | known


def _jpeg_document(point: JudgedJpeg) -> Json:
    known: Json = {"quality": point.quality, "maxSide": point.max_side, "bytes": point.bytes}
    return point.unknown | known | {"metric": _parts(point.metric), "right": _parts(point.right)}


def _parts(share: float) -> int:
    return round(share * _PARTS)


def parse(value: object) -> Judged:
    """The section, every rule checked but whose variants they are.

    Raises:
        InvalidManifest: with the first rule that is broken.
    """
    item = thing(value, "judged")
    judged = Judged(
        metric=_name(text(item, "metric")),
        pictures=number(item, "pictures", 1, _MOST),
        objects=number(item, "objects", 0, _MOST),
        variants=tuple(_variant(each) for each in items(item, "variants")),
        jpeg=tuple(_jpeg(each) for each in items(item, "jpeg")),
        unknown=rest(item, "metric pictures objects variants jpeg"),
    )
    if len(judged.jpeg) > MOST_POINTS:
        raise InvalidManifest(f"manifest: 'jpeg' of 'judged' holds {len(judged.jpeg)}, at most {MOST_POINTS} are taken")
    if len({each.name for each in judged.variants}) != len(judged.variants):
        raise InvalidManifest("manifest: 'judged' tells of a variant twice")
    if len({(each.quality, each.max_side) for each in judged.jpeg}) != len(judged.jpeg):
        raise InvalidManifest("manifest: 'judged' tells of a JPEG quality and side twice")
    return judged


def _name(metric: str) -> str:
    if not 0 < len(metric) <= MOST_NAME or not is_one_line(metric):
        raise InvalidManifest(f"manifest: 'metric' of 'judged' must be a name of 1 to {MOST_NAME} characters")
    return metric


def _variant(item: Json) -> JudgedVariant:
    return JudgedVariant(
        name=text(item, "name"),
        metric=_share(item, "metric"),
        right=_share(item, "right"),
        confidence=_knots(item.get("confidence")),
        cost=_cost(thing(item["cost"], "cost")) if "cost" in item else None,
        unknown=rest(item, "name metric right confidence cost"),
    )


def _jpeg(item: Json) -> JudgedJpeg:
    return JudgedJpeg(
        quality=number(item, "quality", 1, 100),
        max_side=number(item, "maxSide", 1, MOST_SIDE),
        bytes=number(item, "bytes", 1, _MOST),
        metric=_share(item, "metric"),
        right=_share(item, "right"),
        unknown=rest(item, "quality maxSide bytes metric right"),
    )


def _cost(item: Json) -> Cost:
    frame, call = number(item, "frameMicroseconds", 0, _MOST), number(item, "callMicroseconds", 0, _MOST)
    return Cost(frame, call, rest(item, "callMicroseconds frameMicroseconds"))


def _share(item: Json, key: str) -> float:
    return number(item, key, 0, _PARTS) / _PARTS


def _knots(value: object) -> Knots:
    if not isinstance(value, list) or len(value) > MOST_KNOTS:
        raise InvalidManifest(f"manifest: 'confidence' must be a list of at most {MOST_KNOTS} pairs of score and share")
    knots = tuple(_knot(each) for each in value)
    if any(one[0] >= other[0] or one[1] > other[1] for one, other in pairwise(knots)):
        raise InvalidManifest("manifest: scores of 'confidence' must rise, and the shares beside them never fall")
    return knots


def _knot(value: object) -> tuple[float, float]:
    pair: Sequence[object] = value if isinstance(value, list) and len(value) == 2 else ()
    if not pair:
        raise InvalidManifest("manifest: 'confidence' must be pairs of score and share")
    score, share = (whole(each, "a score or share of 'confidence'", 0, _PARTS) for each in pair)
    return score / _PARTS, share / _PARTS
