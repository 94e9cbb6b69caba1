"""Settings of the fleet: one object that is always there, and what it changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.identity.domain import Admission
from controlplane.identity.repository import IdentityRepository
from controlplane.settings import domain
from controlplane.settings.domain import BoxQuotas, Lifetimes, Spec
from protos.errors import Rejected
from protos.ids import NodeId
from tests.sim.control_plane import SimControlPlane

ADDRESS = "/api/v1/settings/fleet"
DEFAULTS = {
    "detections": {"retention": "7d"},
    "telemetry": {"retention": "7d", "minutes": "30d", "hours": "800d"},
    "registry": {"quota": "none"},
    "boxes": {"releases": {"quota": "none"}, "outbox": {"quota": "256MiB"}},
    "metadata": {"timestamp": "1d", "snapshot": "30d", "assign": "7d"},
}
_HOUR = 3_600_000


@given(
    st.builds(
        Spec,
        st.integers(domain.LEAST_RETENTION_MS, domain.MOST_RETENTION_MS),
        st.integers(domain.LEAST_RETENTION_MS, domain.MOST_RETENTION_MS),
        st.none() | st.integers(domain.LEAST_QUOTA, domain.MOST),
        st.builds(
            BoxQuotas, st.none() | st.integers(domain.LEAST_RELEASES, domain.MOST), st.integers(1 << 20, 1 << 50)
        ),
        st.builds(
            Lifetimes,
            st.integers(_HOUR, 30 * 24 * _HOUR),
            st.integers(30 * 24 * _HOUR, domain.MOST_LIFE_MS),
            st.integers(30 * 24 * _HOUR, domain.MOST_LIFE_MS),
        ),
        st.integers(domain.LEAST_RETENTION_MS, domain.MOST_RETENTION_MS),
        st.integers(domain.LEAST_RETENTION_MS, domain.MOST_RETENTION_MS),
    )
)
def test_settings_survive_being_written_and_read(spec: Spec) -> None:
    assert domain.spec(domain.document(spec)) == spec


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"detections": {"retention": 7}}, 'spec.detections.retention must be a duration such as "250ms"'),
        ({"detections": {"retention": "1s"}}, "spec.detections.retention must be from 1m to 3650d"),
        ({"detections": {"keep": "7d"}}, "spec.detections.keep is no field here; there are retention"),
        ({"telemetry": {"hours": "1s"}}, "spec.telemetry.hours must be from 1m to 3650d"),
        ({"registry": {"quota": "20G"}}, 'spec.registry.quota must be a size such as "20GiB"'),
        ({"registry": {"quota": "0B"}}, "spec.registry.quota must be none, or at least 1MiB"),
        ({"boxes": {"releases": {"quota": "1MiB"}}}, "spec.boxes.releases.quota must be none, or at least 16MiB"),
        ({"boxes": {"outbox": {"quota": "none"}}}, "spec.boxes.outbox.quota must be a size such as"),
        ({"boxes": {"outbox": {"quota": "1KiB"}}}, "spec.boxes.outbox.quota must be at least 1MiB"),
        ({"disk": {}}, "spec.disk is no field here; there are boxes, detections, metadata, registry, telemetry"),
        ({"metadata": {"timestamp": "1m"}}, "spec.metadata.timestamp must be from 1h to 180d"),
        ({"metadata": {"timestamp": "60d"}}, "spec.metadata.timestamp must not be longer than snapshot and assign"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(spec: object, said: str) -> None:
    with pytest.raises(Rejected, match=said):
        domain.spec(spec)


def test_they_are_there_before_anybody_wrote_any(plane: SimControlPlane) -> None:
    found = plane.client.get(ADDRESS).json()
    assert (found["kind"], found["metadata"]["name"], found["spec"]) == ("Settings", "fleet", DEFAULTS)
    assert plane.client.get("/api/v1/settings").json()["items"][0]["spec"] == DEFAULTS


def test_what_an_answer_shows_may_be_written_back_changed(plane: SimControlPlane) -> None:
    plane.services.settings.ensure()
    shown = plane.client.get(ADDRESS).json()
    assert plane.client.put(ADDRESS, json=shown).headers["Longshore-Change"] == "unchanged"
    shown["spec"]["detections"]["retention"] = "36h"
    answer = plane.client.put(ADDRESS, json=shown)
    assert (answer.status_code, answer.headers["Longshore-Change"]) == (200, "configured")
    assert plane.client.get(ADDRESS).json()["spec"]["detections"] == {"retention": "36h"}
    assert plane.client.put(ADDRESS, json=shown).status_code == 409  # it was read before


def test_there_are_no_others_and_they_cannot_be_deleted(plane: SimControlPlane) -> None:
    assert plane.client.put("/api/v1/settings/mine", json={"spec": {}}).status_code == 404
    refused = plane.client.delete(ADDRESS)
    assert refused.status_code == 422
    assert "apply them with 'spec: {}'" in refused.json()["error"]["message"]


def test_quotas_of_boxes_are_part_of_what_each_box_is_told(plane: SimControlPlane) -> None:
    with plane.database.begin() as session:
        admission = Admission(NodeId("quay-1"), {}, "edge", rejoin=True)
        IdentityRepository(session).admit_node(admission, 0)
    before = plane.services.fleet.get_node("quay-1")["status"]["generation"]
    plane.client.put(ADDRESS, json={"spec": {"boxes": {"releases": {"quota": "2GiB"}}}})
    assert plane.services.fleet.get_node("quay-1")["status"]["generation"] == before + 1
    plane.client.put(
        ADDRESS, json={"spec": {"boxes": {"releases": {"quota": "2GiB"}}, "detections": {"retention": "1d"}}}
    )
    assert plane.services.fleet.get_node("quay-1")["status"]["generation"] == before + 1  # nothing boxes care for
