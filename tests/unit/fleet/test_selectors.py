"""Label selectors, as text and as a spec."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.fleet import selectors
from controlplane.fleet.selectors import (
    EVERYTHING,
    Labelled,
    Operator,
    Requirement,
    Selector,
    from_spec,
    parse,
    to_spec,
)
from protos.errors import Rejected

KEYS = st.from_regex(r"([a-z][a-z.-]{0,6}[a-z]/)?[a-z][a-z0-9._-]{0,10}[a-z0-9]", fullmatch=True)
VALUES = st.from_regex(r"([a-z0-9]([a-z0-9._-]{0,6}[a-z0-9])?)?", fullmatch=True)
WORDS = st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True)


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    operator = draw(st.sampled_from(Operator))
    values: tuple[str, ...] = ()
    if operator in {Operator.IN, Operator.NOT_IN}:
        values = tuple(sorted(draw(st.sets(WORDS, min_size=1, max_size=3))))
    return Requirement(draw(KEYS.filter(lambda key: key not in {"in", "notin"})), operator, values)


SELECTORS = st.lists(requirements(), max_size=4).map(lambda items: Selector(tuple(items)))
LABELS = st.dictionaries(KEYS, VALUES, max_size=4)


@given(SELECTORS)
def test_a_selector_survives_being_written_and_read(selector: Selector) -> None:
    assert parse(str(selector)) == selector


SHORT = st.dictionaries(st.sampled_from("ab"), st.sampled_from("xyz"))
NEAR = st.builds(
    Requirement,
    st.sampled_from("ab"),
    st.sampled_from(Operator),
    st.sets(st.sampled_from("xyz"), min_size=1).map(lambda values: tuple(sorted(values))),
)


@given(st.lists(NEAR, max_size=3), st.lists(SHORT, max_size=6))
def test_what_is_found_by_labels_is_what_a_look_at_all_finds(
    requirements: list[Requirement], things: list[dict[str, str]]
) -> None:
    selector = Selector(tuple(requirements))
    found = Labelled((labels, number) for number, labels in enumerate(things)).matching(selector)
    assert sorted(found) == [number for number, labels in enumerate(things) if selector.matches(labels)]


@given(SELECTORS, LABELS)
def test_a_selector_means_the_same_as_a_spec(selector: Selector, labels: dict[str, str]) -> None:
    assert from_spec(to_spec(selector)).matches(labels) == selector.matches(labels)


@given(requirements(), LABELS)
def test_in_and_notin_are_opposites(requirement: Requirement, labels: dict[str, str]) -> None:
    opposite = {
        Operator.IN: Operator.NOT_IN,
        Operator.NOT_IN: Operator.IN,
        Operator.EXISTS: Operator.ABSENT,
        Operator.ABSENT: Operator.EXISTS,
    }[requirement.operator]
    other = Requirement(requirement.key, opposite, requirement.values)
    assert requirement.holds(labels) is not other.holds(labels)


@given(SELECTORS, SELECTORS, LABELS)
def test_two_selectors_together_select_what_both_select(one: Selector, two: Selector, labels: dict[str, str]) -> None:
    both = Selector(one.requirements + two.requirements)
    assert both.matches(labels) == (one.matches(labels) and two.matches(labels))


@given(st.text(max_size=40))
def test_any_text_is_a_selector_or_refused(text: str) -> None:
    with suppress(Rejected):
        selector = parse(text)
        assert parse(str(selector)) == selector


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("", {}, True),
        ("site=quay", {"site": "quay"}, True),
        ("site==quay", {"site": "quay"}, True),
        ("site=quay", {"site": "yard"}, False),
        ("site=quay", {}, False),
        ("site!=quay", {"site": "yard"}, True),
        ("site!=quay", {}, True),
        ("gpu", {"gpu": ""}, True),
        ("gpu", {}, False),
        ("!gpu", {}, True),
        ("!gpu", {"gpu": "a"}, False),
        ("site in (quay,yard)", {"site": "yard"}, True),
        ("site in ( quay , yard )", {"site": "gate"}, False),
        ("site notin (quay,yard)", {"site": "gate"}, True),
        ("site notin (quay)", {}, True),
        ("site=quay,gpu!=none,!old", {"site": "quay", "gpu": "a2"}, True),
        (" site = quay , !old ", {"site": "quay"}, True),
        ("site=", {"site": ""}, True),
    ],
)
def test_selectors_select(text: str, labels: dict[str, str], expected: bool) -> None:
    assert parse(text).matches(labels) is expected


@pytest.mark.parametrize("text", ["=a", "a=b=c", "a in", "a in (b", "a,,b", "a b", "-a", "a=b c", "a in (b))", ","])
def test_a_wrong_selector_is_refused(text: str) -> None:
    with pytest.raises(Rejected):
        parse(text)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ([], "must be an object"),
        ({"labels": {}}, "nodeSelector.labels is no field here; there are matchExpressions, matchLabels"),
        ({"matchLabels": {"a": 1}}, "put quotes round a: 1"),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}] * 65}, "65 are more than the 64 allowed"),
        (
            {"matchExpressions": [{"key": "a", "operator": "In", "values": [str(n) for n in range(257)]}]},
            "257 values are more than the 256 allowed",
        ),
        ({"matchLabels": {"a": "b c"}}, "at most 63 letters"),
        ({"matchExpressions": {}}, "must be a list"),
        ({"matchExpressions": [{"key": "a", "operator": "Near"}]}, "operator must be one of In, NotIn"),
        ({"matchExpressions": [{"key": "a", "operator": "In"}]}, "In needs values"),
        ({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}, "Exists takes no values"),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": [1]}]}, "list of strings"),
    ],
)
def test_a_wrong_selector_spec_is_refused_by_name(spec: object, said: str) -> None:
    with pytest.raises(Rejected, match=said):
        from_spec(spec, "spec.nodeSelector")


def test_an_omitted_selector_selects_everything() -> None:
    assert from_spec(None) == from_spec({}) == from_spec({"matchLabels": {}}) == EVERYTHING
    assert from_spec({"matchLabels": None, "matchExpressions": None}) == EVERYTHING
    assert EVERYTHING.matches({"any": "thing"})


def test_labels_are_checked() -> None:
    assert selectors.labels({"site": "quay", "longshore/role": ""}) == {"site": "quay", "longshore/role": ""}
    for wrong in ({"": "a"}, {"a": "x" * 64}, {"a": True}, "a=b", {"a/b/c": ""}, {"x" * 64: ""}):
        with pytest.raises(Rejected):
            selectors.labels(wrong)


def test_an_object_has_at_most_64_labels() -> None:
    assert len(selectors.labels({str(number): "" for number in range(64)})) == 64
    with pytest.raises(Rejected, match="65 labels are more than the 64 allowed"):
        selectors.labels({str(number): "" for number in range(65)})
