"""`longshore explain`: every field that can be written has a meaning, and its default is the real one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from controlplane.cli import explaining, kinds
from controlplane.fleet import specs
from controlplane.web import create_app
from tests.sim.command import Run
from tests.sim.control_plane import SimControlPlane

WRITABLE = {
    "Node": specs.node_document(specs.node_spec({})),
    "Camera": specs.camera_document(specs.camera_spec({"node": "n", "source": "synthetic://harbour"})),
    "Deployment": specs.deployment_document(specs.deployment_spec({"model": "m", "version": "1"})),
}


@pytest.fixture
def openapi(house: SimControlPlane) -> dict[str, Any]:
    document: dict[str, Any] = create_app(house.services).openapi()
    return document


def leaves(openapi: dict[str, Any], schema: Any, path: str) -> Iterator[tuple[str, explaining.Field, Any]]:
    for field, inner in explaining.fields_of(openapi, schema):
        yield f"{path}.{field.name}", field, inner
        yield from leaves(openapi, inner, f"{path}.{field.name}")


@pytest.mark.parametrize("kind", WRITABLE)
def test_every_field_of_a_spec_says_what_it_means(openapi: dict[str, Any], kind: str) -> None:
    found = explaining.found(openapi, kinds.named(kind), "spec")
    silent = [path for path, field, _ in leaves(openapi, found, "spec") if not field.told and "Expressions" not in path]
    assert silent == []


@pytest.mark.parametrize("kind", WRITABLE)
def test_the_fields_are_those_that_are_taken_and_their_defaults_the_real_ones(
    openapi: dict[str, Any], kind: str
) -> None:
    def compare(schema: Any, real: Any) -> None:
        told = {field.name: inner for field, inner in explaining.fields_of(openapi, schema)}
        assert set(told) >= set(real)
        for name, value in real.items():
            if isinstance(value, dict) and value:
                compare(told[name], value)
            elif "default" in told[name] and not isinstance(value, dict):
                assert told[name]["default"] == value, name

    compare(explaining.found(openapi, kinds.named(kind), "spec"), WRITABLE[kind])


def test_every_kind_can_be_explained(longshore: Run) -> None:
    for kind in kinds.KINDS:
        told = longshore("explain", kind.plural)
        assert (told.code, told.out.splitlines()[0]) == (0, f"{kind.name}  <object>")


def test_a_field_is_told_with_type_default_and_bounds(longshore: Run) -> None:
    told = longshore("explain", "deployment.spec.offload").out
    assert "jpegQuality  <integer>\n    of the pictures that it sends; at least 1; at most 100; default 80" in told


def test_all_fields_below_are_shown_on_wish(longshore: Run) -> None:
    told = longshore("explain", "camera", "--recursive").out
    assert "    source  <string>  needed" in told
    assert "conditions  <list of object>" in told


def test_a_field_that_is_none_is_answered_with_the_nearest(longshore: Run) -> None:
    refused = longshore("explain", "camera.spec.rat")
    assert (refused.code, "did you mean rate?" in refused.err) == (1, True)
    assert "holds no fields" in longshore("explain", "camera.spec.rate.x").err
