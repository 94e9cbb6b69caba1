"""What a release is worth: the section of the manifest, each rule of it, and readers that do not know it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import judged, manifest
from protos.errors import InvalidManifest
from protos.judged import Cost, Judged, JudgedJpeg, JudgedVariant
from tests.sim import releases

Json = dict[str, Any]
MADE = manifest.parse(releases.make("1.0.0").manifest)
SAID: Json = {
    "metric": "mAP50",
    "pictures": 512,
    "objects": 20716,
    "variants": [
        {
            "name": "fp32",
            "metric": 9217,
            "right": 8120,
            "confidence": [[500, 210], [5000, 6100], [9000, 9700]],
            "cost": {"callMicroseconds": 400, "frameMicroseconds": 6300},
        }
    ],
    "jpeg": [
        {"quality": 70, "maxSide": 320, "bytes": 9800, "metric": 9190, "right": 8050},
        {"quality": 70, "maxSide": 160, "bytes": 3100, "metric": 7010, "right": 4400},
    ],
}


def with_section(section: object) -> bytes:
    document = json.loads(manifest.to_bytes(MADE)) | {"judged": section}
    return f"{json.dumps(document, sort_keys=True, separators=(',', ':'), ensure_ascii=False)}\n".encode()


shares = st.integers(0, 10_000).map(lambda parts: parts / 10_000)
later = st.dictionaries(st.sampled_from(["later", "Zürich"]), st.integers() | st.text("aé☃", max_size=3), max_size=2)
costs = st.builds(Cost, frame=st.integers(0, 1 << 40), call=st.integers(0, 1 << 40), unknown=later)
points = st.builds(
    JudgedJpeg,
    quality=st.integers(1, 100),
    max_side=st.integers(1, judged.MOST_SIDE),
    bytes=st.integers(1, 1 << 40),
    metric=shares,
    right=shares,
    unknown=later,
)


@st.composite
def knots(draw: st.DrawFn) -> tuple[tuple[float, float], ...]:
    scores = sorted(draw(st.sets(shares, max_size=5)))
    return tuple(zip(scores, sorted(draw(shares) for _ in scores), strict=True))


variants = st.builds(
    JudgedVariant, st.just("fp32"), shares, shares, knots(), cost=st.none() | costs, unknown=later
)  # the one that the release has
judgements = st.builds(
    Judged,
    metric=st.sampled_from(["mAP50", "top-1 accuracy"]),
    pictures=st.integers(1, 1 << 40),
    objects=st.integers(0, 1 << 40),
    variants=st.lists(variants, max_size=1).map(tuple),
    jpeg=st.lists(points, max_size=4, unique_by=lambda point: (point.quality, point.max_side)).map(tuple),
    unknown=later,
)


@given(judgements)
def test_what_is_written_is_read_back_and_written_the_same(made: Judged) -> None:
    content = manifest.to_bytes(replace(MADE, judged=made))
    read = manifest.parse(content)
    assert read.judged == made
    assert manifest.to_bytes(read) == content


def test_each_figure_is_found_where_it_belongs() -> None:
    read = manifest.parse(with_section(SAID)).judged
    assert read is not None
    assert (read.metric, read.pictures, read.objects) == ("mAP50", 512, 20716)
    (variant,) = read.variants
    assert (variant.metric, variant.right, variant.cost) == (0.9217, 0.812, Cost(frame=6300, call=400))
    assert variant.confidence == ((0.05, 0.021), (0.5, 0.61), (0.9, 0.97))
    assert read.jpeg[1] == JudgedJpeg(70, 160, 3100, 0.701, 0.44)
    assert read.variant("fp32") is variant
    assert read.variant("int8") is None


def test_a_release_that_nobody_evaluated_is_spelled_as_before_there_was_the_section() -> None:
    assert MADE.judged is None
    assert b"judged" not in manifest.to_bytes(MADE)


@given(judgements)
def test_a_reader_that_does_not_know_the_section_keeps_its_bytes(made: Judged) -> None:
    """Agents of before hold it as `unknown`, as any field they do not know; the digest is over the same bytes."""
    older = replace(MADE, unknown={"judged": judged.to_document(made)})
    assert manifest.to_bytes(older) == manifest.to_bytes(replace(MADE, judged=made))


def test_fields_of_a_later_version_are_kept_wherever_they_stand() -> None:
    section = json.loads(json.dumps(SAID))
    for place in (section, section["variants"][0], section["variants"][0]["cost"], section["jpeg"][1]):
        place["later"] = {"a": [1, None]}
    content = with_section(section)
    assert manifest.to_bytes(manifest.parse(content)) == content


RULES: list[tuple[str, Callable[[Json], object]]] = [
    ("'metric' must be a string", lambda it: it.pop("metric")),
    ("'metric' of 'judged' must be a name", lambda it: it.update(metric="m\nAP")),
    ("'metric' of 'judged' must be a name", lambda it: it.update(metric="m" * 65)),
    ("'pictures' must be a whole number from 1", lambda it: it.update(pictures=0)),
    ("'objects' must be a whole number from 0", lambda it: it.update(objects=1.5)),
    ("'variants' must be a list of objects", lambda it: it.pop("variants")),
    ("tells of a variant twice", lambda it: it.update(variants=it["variants"] * 2)),
    ("tells of variant 'int8', which is not in variants", lambda it: it["variants"][0].update(name="int8")),
    ("'metric' must be a whole number from 0 to 10000", lambda it: it["variants"][0].update(metric=10_001)),
    ("'right' must be a whole number from 0 to 10000", lambda it: it["variants"][0].update(right=0.81)),
    ("'right' must be a whole number from 0 to 10000", lambda it: it["variants"][0].update(right=True)),
    ("'confidence' must be a list of at most 64", lambda it: it["variants"][0].pop("confidence")),
    ("'confidence' must be a list of at most 64", lambda it: it["variants"][0].update(confidence=[[1, 1]] * 65)),
    ("'confidence' must be pairs", lambda it: it["variants"][0].update(confidence=[[1, 1, 1]])),
    ("'confidence' must be pairs", lambda it: it["variants"][0].update(confidence=[1])),
    ("a score or share of 'confidence' must be", lambda it: it["variants"][0].update(confidence=[[-1, 1]])),
    ("scores of 'confidence' must rise", lambda it: it["variants"][0].update(confidence=[[5, 1], [5, 2]])),
    ("the shares beside them never fall", lambda it: it["variants"][0].update(confidence=[[5, 2], [6, 1]])),
    ("'cost' must be an object", lambda it: it["variants"][0].update(cost=None)),
    ("'callMicroseconds' must be a whole number", lambda it: it["variants"][0]["cost"].update(callMicroseconds=-1)),
    ("'jpeg' must be a list of objects", lambda it: it.update(jpeg=[1])),
    ("holds 65, at most 64 are taken", lambda it: it.update(jpeg=it["jpeg"][:1] * 65)),
    ("tells of a JPEG quality and side twice", lambda it: it.update(jpeg=it["jpeg"] * 2)),
    ("'quality' must be a whole number from 1 to 100", lambda it: it["jpeg"][0].update(quality=101)),
    ("'maxSide' must be a whole number from 1", lambda it: it["jpeg"][0].update(maxSide="320")),
    ("'bytes' must be a whole number from 1", lambda it: it["jpeg"][0].update(bytes=0)),
]  # fmt: skip


@pytest.mark.parametrize(("said", "change"), RULES)
def test_each_broken_rule_is_named_in_one_sentence(said: str, change: Callable[[Json], object]) -> None:
    section = json.loads(json.dumps(SAID))
    change(section)
    with pytest.raises(InvalidManifest, match=said) as refused:
        manifest.parse(with_section(section))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("section", [None, [], 1, "mAP50"])
def test_a_section_that_is_no_object_is_refused(section: object) -> None:
    with pytest.raises(InvalidManifest, match="'judged' must be an object"):
        manifest.parse(with_section(section))


def test_a_share_is_rounded_to_what_a_manifest_can_hold() -> None:
    assert judged.rounded(2 / 3) == 0.6667
    section = judged.to_document(replace(judged.parse(SAID), jpeg=()))
    assert section["variants"][0]["right"] == 8120
