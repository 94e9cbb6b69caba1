"""Medians, ratios and goals of the serving benchmark, and the tables that show them."""

from __future__ import annotations

import pytest

from agent.bench.figures import Machine
from bench.serving import figures, table
from bench.serving.cells import GRPC, HTTP, Cell, Limit, Measured, Standing
from bench.serving.figures import Row, Verdict

OURS = Standing("Longshore", "", ready_seconds=1.5, idle_cores=0.01, memory_mb=200)
PEER = Standing("Triton", "0.7.0", ready_seconds=7.4, idle_cores=0.015, memory_mb=600)
ABSENT = Standing("MLServer", "1.7.1", reason="cannot be installed: no network")


def cell(line: str, rate: float, raw: float, *, in_flight: int = 16, workload: str = "mobilenet") -> Cell:
    alone = 0.004 if in_flight == 1 else 0.0
    return Cell(line, Limit(workload, in_flight, raw, alone), Measured(rate, 1 / rate, 2 / rate))


def found(verdicts: list[Verdict], start: str) -> Verdict:
    return next(each for each in verdicts if each.what.startswith(start))


def test_a_row_is_the_median_of_its_rounds_and_its_ratio_is_taken_within_each() -> None:
    """A machine that is half as fast for a round changes no ratio."""
    (row,) = figures.rows([cell(HTTP, 320, 400), cell(HTTP, 160, 200), cell(HTTP, 300, 400)])
    assert (row.rate, row.lowest, row.highest) == (300, 160, 320)
    assert row.efficiency == pytest.approx(0.8)
    assert row.p50_ms == pytest.approx(1000 / 300)


def test_alone_is_held_against_raw_on_all_cores() -> None:
    (row,) = figures.rows([cell(HTTP, 200, 400, in_flight=1)])
    assert row.alone == pytest.approx(0.005 / 0.004)


def test_a_round_that_failed_is_left_out_and_only_failures_make_a_reason() -> None:
    failed = Cell(HTTP, Limit("mobilenet", 16, 400, 0.0), None, "h2load failed")
    (row,) = figures.rows([failed, cell(HTTP, 320, 400)])
    assert (row.rate, row.reason) == (320, "")
    (row,) = figures.rows([failed, failed])
    assert (row.rate, row.reason) == (0.0, "h2load failed")


def test_the_reference_is_told_once_for_each_workload() -> None:
    cells = [
        cell(HTTP, 300, 400),
        cell(GRPC, 300, 400),
        cell(HTTP, 200, 410, in_flight=1),
        cell(HTTP, 1, 9, workload="t"),
    ]
    assert [(each.workload, each.rate, each.alone_ms) for each in figures.references(cells)] == [
        ("mobilenet", 400, 4.0),
        ("t", 9, 0.0),
    ]


def test_goals_are_judged_beside_the_best_of_the_others() -> None:
    cells = [
        cell(HTTP, 300, 400),
        cell(GRPC, 300, 400),
        cell("Triton, gRPC", 200, 400),
        cell("MLServer, gRPC", 100, 400),
    ]
    told = figures.verdicts(figures.rows(cells), [OURS, PEER, ABSENT])
    http, grpc = found(told, "mobilenet, HTTP"), found(told, "mobilenet, gRPC")
    assert (http.reached, http.missed, grpc.missed) == (0.75, True, False)
    assert (http.peer, http.peer_reached) == ("Triton, gRPC", 0.5)
    assert (found(told, "idle").missed, found(told, "ready").peer_reached) == (False, 7.4)


def test_a_goal_that_was_not_measured_is_neither_held_nor_missed() -> None:
    told = figures.verdicts(figures.rows([cell(HTTP, 300, 400)]), [OURS])
    region = found(told, "mobilenet, shared memory")
    assert (region.reached, region.missed, region.reason) == (None, False, "this server offers no such way")
    assert not any(each.what.startswith("resnet50") for each in told)


def test_what_takes_too_long_misses_its_goal() -> None:
    slow = Standing("Longshore", "", ready_seconds=2.5, idle_cores=0.03)
    told = figures.verdicts([], [slow])
    assert [each.missed for each in told] == [True, True]


def test_a_server_that_is_not_there_is_a_row_with_the_reason() -> None:
    shown = table.servers([OURS, ABSENT]).splitlines()
    assert shown[1].split() == ["Longshore", "1.5", "s", "0.010", "200", "MB"]
    assert shown[2].endswith("not measured: cannot be installed: no network")


def test_a_workload_shows_each_line_under_each_pressure_and_why_one_is_missing() -> None:
    rows = figures.rows([cell(HTTP, 200, 400, in_flight=1), cell(HTTP, 300, 400)])
    broken = Row("mobilenet", 16, GRPC, reason="h2load failed")
    shown = table.workload(figures.Reference("mobilenet", 400, 4.0), [*rows, broken])
    assert "raw ONNX Runtime 400/s; alone on all cores 4.00 ms" in shown
    assert "1 IN FLIGHT" in shown
    line = next(line for line in shown.splitlines() if line.startswith(HTTP))
    assert line.split()[-6:] == ["200", "0.50", "5.00/10", "300", "0.75", "3.33/6.67"]
    assert "h2load failed" in shown


def test_the_goals_say_what_was_held_and_what_was_missed() -> None:
    told = figures.verdicts(figures.rows([cell(HTTP, 300, 400), cell("Triton, gRPC", 200, 400)]), [OURS, PEER])
    shown = [" ".join(line.split()) for line in table.goals(told, judged=True).splitlines()]
    assert "mobilenet, HTTP, 16 in flight: of raw ≥ 0.82 0.75 missed 0.50 Triton, gRPC" in shown
    assert shown[3].endswith("≥ 0.92 - not measured: this server offers no such way")
    assert "idle ≤ 0.020 cores 0.010 cores held 0.015 cores Triton" in shown


def test_a_machine_that_was_busy_otherwise_judges_no_goal() -> None:
    """There the share of raw may be above 1, since raw was starved as well."""
    assert not Machine("", cores=2, others=0.15).is_busy
    assert Machine("", cores=2, others=1.4).is_busy
    told = figures.verdicts(figures.rows([cell(HTTP, 900, 400)]), [OURS])
    shown = table.report([OURS], [], [], told, judged=False)
    assert "held" not in shown
    assert "missed" not in shown
    assert "Other work took 1.4 cores meanwhile, so no goal is judged" in table.others(1.4)
