"""The figures of `longshore top`."""

from __future__ import annotations

from controlplane.cli import rates
from controlplane.cli.rates import Look

SUMS = {
    "due": 300,
    "lookedAt": 300,
    "inTime": 285,
    "byCloud": 120,
    "counts": {"ok_local": 165, "ok_cloud": 120, "shed": 10, "expired": 5},
    "latencyP50Seconds": 0.0412,
    "latencyP95Seconds": 0.2,
    "uplinkBytes": 1_500_000,
}
NODE = {"metadata": {"name": "quay-1"}, "status": {"role": "edge", "phase": "Online"}}
CAMERA = {
    "metadata": {"name": "gate"},
    "spec": {"node": "quay-1", "rate": 10},
    "status": {"state": "running", "framesPerSecond": 9.96},
}


def test_shares_are_of_all_frames_due() -> None:
    look = Look([NODE], [CAMERA], {"total": SUMS, "nodes": {"quay-1": SUMS}, "cameras": {"gate": SUMS}})
    assert rates.headline(look) == (
        "1 of 1 boxes online   1/1 cameras running   95.0 % in time   40.0 % by the cloud   1.2 Mbit/s up"
    )
    assert dict(zip(rates.CAMERA_TITLES, rates.camera_rows(look)[0], strict=True)) == {
        "CAMERA": "gate",
        "NODE": "quay-1",
        "STATE": "running",
        "FPS/DUE": "10.0/10",
        "IN TIME": "95.0 %",
        "LOCAL": "55.0 %",
        "CLOUD": "40.0 %",
        "LOST": "5.0 %",
        "P50": "41 ms",
        "P95": "200 ms",
    }


def test_a_camera_lowered_by_overload_shows_what_is_due_of_what_is_wanted() -> None:
    lowered = {**CAMERA, "status": {"state": "running", "framesPerSecond": 5.04, "loweredRate": 5.04}}
    assert dict(zip(rates.CAMERA_TITLES, rates.camera_rows(Look([], [lowered]))[0], strict=True))["FPS/DUE"] == (
        "5.0/5.04 of 10"
    )


def test_frames_in_which_nothing_moved_count_neither_as_in_time_nor_as_late() -> None:
    quiet = {**SUMS, "due": 1300}
    assert "95.0 % in time" in rates.headline(Look([NODE], [CAMERA], {"total": quiet}))
    assert "- in time" in rates.headline(Look([NODE], [CAMERA], {"total": {"due": 9, "lookedAt": 0}}))


def test_what_a_box_spends_stands_beside_its_rates() -> None:
    spent = {"cpuCoresUsed": 0.734, "memoryBytes": 241_000_000}
    look = Look([NODE], [], {"nodes": {"quay-1": SUMS}}, {"quay-1": spent})
    row = dict(zip(rates.NODE_TITLES, rates.node_rows(look)[0], strict=True))
    assert (row["CPU"], row["MEMORY"], row["UPLINK"]) == ("0.73", "241.0 MB", "1.2 Mbit/s")


def test_a_fleet_that_tells_nothing_shows_dashes_and_no_zero_percent() -> None:
    look = Look([NODE], [CAMERA])
    assert rates.node_rows(look)[0][3:] == ["1/1", "-", "-", "-", "-", "-", "-", "-", "0 kbit/s"]
    assert rates.camera_rows(look)[0][4:] == ["-"] * 6
    assert rates.headline(look).startswith("1 of 1 boxes online   1/1 cameras running   - in time")


def test_the_first_line_counts_only_what_is_selected() -> None:
    other = {**SUMS, "due": 1000, "lookedAt": 1000, "inTime": 0}
    outcomes = {"total": other, "nodes": {"quay-1": SUMS, "far": other}, "cameras": {"gate": SUMS, "away": other}}
    assert "95.0 % in time" in rates.headline(Look([NODE], [CAMERA], outcomes, selected=True))
    assert "95.0 % in time" in rates.headline(Look([NODE], [], outcomes, selected=True))
    assert "0.0 % in time" in rates.headline(Look([NODE], [CAMERA], outcomes))
    assert "- in time" in rates.headline(Look([], [], outcomes, selected=True))


def test_a_control_plane_one_release_older_tells_no_frames_looked_at_and_none_is_missed() -> None:
    older = {key: value for key, value in SUMS.items() if key != "lookedAt"}
    quiet = {**older, "due": 1300, "counts": {**SUMS["counts"], "stale_track": 1000}}  # type: ignore[dict-item]
    assert "95.0 % in time" in rates.headline(Look([NODE], [CAMERA], {"total": quiet}))
    assert "95.0 % in time" in rates.headline(Look([NODE], [CAMERA], {"cameras": {"gate": quiet}}, selected=True))
