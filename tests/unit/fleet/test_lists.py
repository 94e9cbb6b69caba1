"""Lists of all kinds over HTTP: one shape, one way to choose, one way to page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.identity.domain import Admission
from controlplane.identity.repository import IdentityRepository
from protos.ids import NodeId
from tests.sim import releases
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimBrowser, SimControlPlane

KINDS = ("nodes", "cameras", "deployments", "models", "releases")
LABELS = {"metadata": {"labels": {"site": "quay"}}}


@pytest.fixture
def house(tmp_path: Path, clock: FakeClock) -> Iterator[SimControlPlane]:
    """Three objects of each kind."""
    made = SimControlPlane(tmp_path, clock)
    for name in ("c", "a", "b"):
        with made.database.begin() as session:
            admission = Admission(NodeId(name), {"site": "quay"}, "edge", rejoin=True)
            IdentityRepository(session).admit_node(admission, int(clock.unix() * 1000))
        made.push(releases.make("1.0.0", name=name))
        camera = {"node": "a", "source": "synthetic://harbour"}
        made.services.fleet.apply_camera(name, {**LABELS, "spec": camera})
        made.services.fleet.apply_deployment(name, {**LABELS, "spec": {"model": name, "version": "1.0.0"}})
        clock.tick(1)
    yield made
    made.close()


@pytest.fixture
def api(house: SimControlPlane) -> SimBrowser:
    return house.client


def listed(api: SimBrowser, kind: str, **query: Any) -> dict[str, Any]:
    answer = api.get(f"/api/v1/{kind}", params=query)
    assert answer.status_code == 200
    return dict(answer.json())


def names(answer: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"].removesuffix("-1-0-0") for item in answer["items"]]


@pytest.mark.parametrize("kind", KINDS)
def test_every_list_has_one_shape(api: SimBrowser, kind: str) -> None:
    answer = listed(api, kind)
    assert list(answer) == ["apiVersion", "kind", "metadata", "items"]
    assert answer["apiVersion"] == "longshore/v1"
    assert {answer["kind"]} == {f"{item['kind']}List" for item in answer["items"]}
    assert answer["metadata"] == {"continue": ""}


@pytest.mark.parametrize("kind", KINDS)
def test_pages_give_each_object_once_and_in_order(api: SimBrowser, kind: str) -> None:
    first = listed(api, kind, limit=2)
    last = listed(api, kind, limit=2, **first["metadata"])
    assert names(first) + names(last) == (["c", "a", "b"] if kind == "releases" else ["a", "b", "c"])
    assert last["metadata"] == listed(api, kind, limit=3)["metadata"] == {"continue": ""}


def test_paging_goes_on_though_the_object_it_stopped_at_is_gone(api: SimBrowser) -> None:
    first = listed(api, "cameras", limit=1)
    assert api.delete("/api/v1/cameras/a").status_code == 204
    assert names(listed(api, "cameras", limit=5, **first["metadata"])) == ["b", "c"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_list_is_chosen_from_by_label(api: SimBrowser, kind: str) -> None:
    labelled = kind in ("nodes", "cameras", "deployments")
    assert len(names(listed(api, kind, labelSelector="site in (quay)"))) == (3 if labelled else 0)
    assert len(names(listed(api, kind, labelSelector="site!=quay"))) == (0 if labelled else 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("query", ["labelSelector=a%20b", "labelSelector=(", "limit=0", "limit=1001", "limit=x"])
def test_every_list_refuses_what_it_cannot_read_in_one_sentence(api: SimBrowser, kind: str, query: str) -> None:
    answer = api.get(f"/api/v1/{kind}?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]
    assert "\n" not in answer.json()["error"]["message"]
