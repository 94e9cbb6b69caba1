"""What a release is worth, as the API tells it: of the very manifest that was pushed."""

from __future__ import annotations

from controlplane.registry import schemas
from protos import manifest
from tests.sim.control_plane import SimControlPlane
from tests.sim.registry_data import harbour, put
from tests.sim.releases import make


def test_the_api_tells_what_the_manifest_of_a_release_says(plane: SimControlPlane) -> None:
    name = put(plane.services, harbour()).name
    told = plane.client.get(f"/api/v1/releases/{name}").json()["spec"]["judged"]
    said = manifest.parse(harbour().manifest).judged
    assert said is not None
    assert (told["metric"], told["pictures"], told["objects"]) == ("mAP50", said.pictures, said.objects)
    (variant,) = told["variants"]
    assert variant["right"] == said.variants[0].right
    assert [tuple(knot) for knot in variant["confidence"]] == list(said.variants[0].confidence)
    cost = said.variants[0].cost
    assert cost is not None
    assert variant["cost"] == {"frameSeconds": cost.frame / 1e6, "callSeconds": cost.call / 1e6}
    assert [(each["quality"], each["maxSide"], each["bytes"]) for each in told["jpeg"]] == [
        (each.quality, each.max_side, each.bytes) for each in said.jpeg
    ]


def test_a_release_that_nobody_evaluated_has_none_and_stays_as_valid_as_it_was(plane: SimControlPlane) -> None:
    stored = plane.push(make("1.0.0"))
    assert plane.client.get(f"/api/v1/releases/{stored.name}").json()["spec"]["judged"] is None


def test_a_release_of_rules_that_nobody_reads_any_more_hides_no_list(plane: SimControlPlane) -> None:
    stored = plane.push(make("1.0.0"))
    unreadable = schemas._judged(b"{}\n")
    assert unreadable is None
    assert stored.name in {item["metadata"]["name"] for item in plane.client.get("/api/v1/releases").json()["items"]}
