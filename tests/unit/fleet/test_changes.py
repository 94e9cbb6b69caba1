"""What a PUT means next to what is stored."""

from __future__ import annotations

import pytest

from controlplane.errors import Conflict
from controlplane.fleet import changes
from controlplane.fleet.changes import Change
from controlplane.fleet.objects import Meta
from protos.errors import Rejected

STORED = Meta(uid="u", created_unix_ms=5, labels={"a": "1"}, annotations={"n": "x"}, generation=3, resource_version=7)


def put(**metadata: object) -> changes.Written:
    return changes.written({"metadata": metadata, "spec": {}}, "Camera", "gate")


def test_the_same_again_changes_nothing() -> None:
    assert changes.updated(STORED, put(), spec_changed=False) == (STORED, Change.UNCHANGED)
    assert changes.updated(STORED, put(labels={"a": "1"}), spec_changed=False) == (STORED, Change.UNCHANGED)


def test_a_new_spec_is_a_new_generation_and_a_new_label_is_not() -> None:
    meta, change = changes.updated(STORED, put(), spec_changed=True)
    assert (change, meta.generation, meta.resource_version) == (Change.CONFIGURED, 4, 8)
    meta, change = changes.updated(STORED, put(labels={"a": "2"}), spec_changed=False)
    assert (change, meta.generation, meta.resource_version, meta.labels) == (Change.CONFIGURED, 3, 8, {"a": "2"})


def test_what_is_left_out_stays_and_what_is_empty_goes() -> None:
    meta, _ = changes.updated(STORED, put(annotations={}), spec_changed=False)
    assert (meta.labels, meta.annotations) == ({"a": "1"}, {})


def test_who_writes_against_something_older_is_told() -> None:
    with pytest.raises(Conflict, match="changed since you read it"):
        changes.updated(STORED, put(resourceVersion="6"), spec_changed=True)
    assert changes.updated(STORED, put(resourceVersion="7"), spec_changed=True)[1] is Change.CONFIGURED


def test_who_writes_back_something_that_was_made_anew_is_told() -> None:
    with pytest.raises(Conflict, match="deleted and made anew"):
        changes.updated(STORED, put(resourceVersion="7", uid="other"), spec_changed=True)
    assert changes.updated(STORED, put(resourceVersion="7", uid="u"), spec_changed=True)[1] is Change.CONFIGURED
    assert changes.updated(STORED, put(uid="other"), spec_changed=True)[1] is Change.CONFIGURED


def test_who_writes_back_something_deleted_is_told() -> None:
    with pytest.raises(Conflict, match="does not exist any more"):
        changes.created(put(resourceVersion="7"), "u", 1)


def test_an_answer_may_be_put_back() -> None:
    body = {
        "apiVersion": "longshore/v1",
        "kind": "Camera",
        "metadata": {
            "name": "gate",
            "labels": {"a": "1"},
            "annotations": {"n": "x"},
            "uid": "u",
            "generation": 3,
            "resourceVersion": "7",
            "creationTimestamp": "2026-11-23T20:00:00.000Z",
        },
        "spec": {},
        "status": {"state": "running"},
    }
    assert changes.updated(STORED, changes.written(body, "Camera", "gate"), spec_changed=False)[1] is Change.UNCHANGED


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "the body must be an object"),
        ({"sepc": {}}, "the body has no field 'sepc'"),
        ({"apiVersion": "v2"}, "apiVersion must be longshore/v1"),
        ({"kind": "Node"}, "kind must be Camera here"),
        ({"metadata": {"name": "berth"}}, "metadata.name must be 'gate', as in the address"),
        ({"metadata": {"label": {}}}, "metadata has no field 'label'"),
        ({"metadata": {"labels": {"a": None}}}, "metadata.labels must be an object of strings"),
        ({"metadata": {"annotations": {"a": "x" * 5000}}}, "at most 4096 characters"),
        ({"metadata": {"annotations": {"a b": "x"}}}, "annotation key 'a b' must be"),
        ({"metadata": {"annotations": {"a": "\x1b[2J"}}}, "metadata.annotations: a holds a control character"),
        ({"metadata": {"annotations": {"a": "\ud800"}}}, "half a character"),
        ({"metadata": {"\ud800": 1}}, "half a character"),
        ({"spec": {"\ud800": 1}}, "half a character"),
    ],
)
def test_a_wrong_body_is_refused_by_field(body: object, said: str) -> None:
    with pytest.raises(Rejected, match=said):
        changes.written(body, "Camera", "gate")


def test_a_name_that_is_no_name_is_refused() -> None:
    with pytest.raises(Rejected, match="Camera name 'Gate!' must be"):
        changes.written({}, "Camera", "Gate!")
