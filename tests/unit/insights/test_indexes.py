"""Every question about detections is answered by an index; bench/bench_detections.py says how fast it is."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from controlplane.insights.matching import Place, Wanted
from tests.sim.control_plane import SimControlPlane

AT, CAMERA = "ix_detections_at_ms_labels_zones_top_score", "ix_detections_camera_at_ms"


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({}, AT),
        ({"label": "boat", "zone": "gate", "min_score": 0.5}, AT),
        ({"camera": "gate"}, CAMERA),
        ({"camera": "gate", "label": "boat"}, CAMERA),
        ({"node": "quay-1"}, "ix_detections_node_id_at_ms"),
        ({"deployment": "watch"}, "ix_detections_deployment_at_ms"),
    ],
)
@pytest.mark.parametrize("after", [None, Place(5, "quay-1", "e1", 7)])
def test_a_page_reads_on_from_its_place_by_an_index_and_sorts_equal_moments_only(
    plane: SimControlPlane, asked: dict[str, Any], index: str, after: Place | None
) -> None:
    told: list[tuple[str, tuple[Any, ...]]] = []
    engine = plane.database.engine
    event.listen(engine, "before_cursor_execute", lambda *given: told.append(given[2:4]))
    plane.services.insights.detections(Wanted(0, 10, **asked), 100, after)
    ((statement, values),) = [each for each in told if each[0].startswith("SELECT")]
    with engine.connect() as connection:
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert any(index in line for line in plan), plan
    assert "SCAN" not in str(plan)
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan  # "… FOR LAST TERMS OF ORDER BY" is of one moment
