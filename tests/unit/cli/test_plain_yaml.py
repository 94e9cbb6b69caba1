"""YAML as people write it: text stays the text that was written."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controlplane import plain_yaml
from protos.errors import Rejected
from tests.sim import releases
from tests.sim.command import Run
from tests.sim.control_plane import SimControlPlane


def only(text: str) -> Any:
    ((_, value),) = plain_yaml.documents(text, "x.yaml")
    return value


@pytest.mark.parametrize("written", ["2024-01-01", "1.10", "1", "1e3", "true", "010", "1_0", "1:30", "yes"])
def test_a_version_arrives_as_it_was_written(written: str) -> None:
    assert only(f"spec: {{version: {written}}}") == {"spec": {"version": written}}


@pytest.mark.parametrize("version", ["2024-01-01", "1.10"])
def test_a_version_without_quotes_names_the_release_that_was_pushed(
    longshore: Run, house: SimControlPlane, tmp_path: Any, version: str
) -> None:
    house.push(releases.make(version))
    text = f"kind: Deployment\nmetadata: {{name: watch}}\nspec: {{model: harbour, version: {version}}}\n"
    (tmp_path / "watch.yaml").write_text(text)
    assert longshore("apply", "-f", str(tmp_path / "watch.yaml")).out == "deployment/watch created\n"
    assert house.services.fleet.get_deployment("watch")["spec"]["version"] == version


def test_labels_and_selectors_are_text_and_other_fields_are_what_they_say() -> None:
    text = """
metadata: {name: 7, labels: {on: yes, floor: 3, lit: true}}
spec:
  rate: 2.5
  paused: true
  nodeSelector: {matchLabels: {floor: 3}, matchExpressions: [{key: gpu, operator: In, values: [1, a]}]}
  offload: {jpegQuality: 80}
"""
    assert only(text) == {
        "metadata": {"name": "7", "labels": {"on": "yes", "floor": "3", "lit": "true"}},
        "spec": {
            "rate": 2.5,
            "paused": True,
            "nodeSelector": {
                "matchLabels": {"floor": "3"},
                "matchExpressions": [{"key": "gpu", "operator": "In", "values": ["1", "a"]}],
            },
            "offload": {"jpegQuality": 80},
        },
    }


def test_what_things_are_worth_is_a_number_and_not_the_text_of_a_selector(
    longshore: Run, house: SimControlPlane, tmp_path: Any
) -> None:
    house.push(releases.make("1.0.0"))
    head = "kind: Deployment\nmetadata: {name: watch}\n"
    (tmp_path / "watch.yaml").write_text(
        head + "spec: {model: harbour, version: 1.0.0, terms: {values: {boat: 5}, cameraValues: {berth: 2}}}\n"
    )
    assert longshore("apply", "-f", str(tmp_path / "watch.yaml")).out == "deployment/watch created\n"
    terms = house.services.fleet.get_deployment("watch")["spec"]["terms"]
    assert (terms["values"], terms["cameraValues"]) == ({"boat": 5}, {"berth": 2})


@pytest.mark.parametrize("of", ["values", "cameraValues"])
@pytest.mark.parametrize("name", ["name", "node", "source", "model", "key", "version", "values", "kind", "labels"])
def test_a_label_or_a_camera_called_as_a_field_is_still_worth_a_number(of: str, name: str) -> None:
    worth = {"spec": {"model": "7", "terms": {of: {name: 2, "boat": 5.5}}}}
    assert only(f"spec: {{model: 7, terms: {{{of}: {{{name}: 2, boat: 5.5}}}}}}") == worth
    merged = f"base: &b {{{name}: 2}}\nspec: {{model: 7, terms: {{{of}: {{<<: *b, boat: 5.5}}}}}}"
    assert only(merged)["spec"] == worth["spec"], "taken in with '<<' it is the same"


def test_labels_taken_in_with_a_merge_are_text() -> None:
    assert only("base: &b {floor: 3}\nmetadata: {labels: {<<: *b}}")["metadata"] == {"labels": {"floor": "3"}}


def test_a_field_left_empty_is_absent_also_where_text_is_wanted() -> None:
    assert only("spec: {version: , node: ~}") == {"spec": {"version": None, "node": None}}


def test_numbers_that_json_cannot_say_are_text() -> None:
    assert only("[.inf, .nan, 1e999, 123456789012345678901]") == [".inf", ".nan", "1e999", 123456789012345678901]


@pytest.mark.parametrize("text", [r'"\ud800"', "!!int x", "rate: " + "9" * 5000])
def test_what_cannot_be_sent_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(Rejected, match=r"x\.yaml, document 1, line 1: "):
        only(text)


def test_anchors_and_merges_are_followed() -> None:
    text = "base: &b {rate: 5, node: n}\nspec: {<<: *b, rate: 7}\nmore: {<<: [{a: 1}, {a: 2, c: 3}]}"
    assert only(text) == {
        "base": {"rate": 5, "node": "n"},
        "spec": {"rate": 7, "node": "n"},
        "more": {"a": 1, "c": 3},
    }


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 xxxxxxxxxx\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)),
        "a: &a [*a]",
        "a: &a {<<: *a}",
    ],
)
def test_a_bomb_of_anchors_is_refused_before_it_grows(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_yaml, "MAX_CHARACTERS", 1 << 20)
    with pytest.raises(Rejected, match=r"x\.yaml, document 1, line \d+: .*write it out without anchors"):
        only(text)


def test_each_document_has_its_place() -> None:
    places = [place for place, _ in plain_yaml.documents("a: 1\n---\nb: 2\n---\n", "x.yaml")]
    assert places == ["x.yaml, document 1", "x.yaml, document 2", "x.yaml, document 3"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.text(st.characters(codec="utf-8", categories=("L", "N"))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_json_and_what_get_prints_as_yaml_are_read_back_as_they_are(value: Any) -> None:
    assert only(json.dumps(value)) == value
    assert only(yaml.safe_dump(value, allow_unicode=True)) == value
