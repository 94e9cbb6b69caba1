"""Changes and Syncs that meet in the database, on both kinds: no change is lost and no number means two things."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from controlplane.db import Database
from controlplane.fleet.boxes import Answer
from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet

CHANGES = 12  # of each writer


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def fleet(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[SimFleet]:
    url = f"sqlite:///{tmp_path / 'db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = Database(url)
    yield SimFleet(database, clock)
    database.close()


def test_a_number_means_one_state_and_the_last_change_arrives(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    fleet.push()
    answers: list[Answer] = []
    over = threading.Event()

    def report() -> None:
        while not over.is_set():
            answers.append(quay.sync())

    def change_cameras() -> None:
        for number in range(CHANGES):
            fleet.camera("gate", "quay-1", f"synthetic://scene-{number}")

    def change_deployments() -> None:
        for number in range(CHANGES):
            fleet.deploy(objective={"deadline": f"{100 + number}ms"})

    with ThreadPoolExecutor(3) as pool:
        reporting = pool.submit(report)
        for done in [pool.submit(change_cameras), pool.submit(change_deployments)]:
            done.result(60)
        over.set()
        reporting.result(60)
    answers.append(quay.sync())
    last = answers[-1].desired
    assert last.cameras[0].source == f"synthetic://scene-{CHANGES - 1}"
    assert last.deployments[0].deadline_ms == 100 + CHANGES - 1
    generations = [answer.generation for answer in answers]
    assert generations == sorted(generations)
    states = {(answer.generation, answer.desired.fingerprint()) for answer in answers}
    assert len({generation for generation, _ in states}) == len(states)


def test_of_two_who_write_what_both_read_one_is_told(fleet: SimFleet) -> None:
    fleet.join("quay-1")
    fleet.camera("gate", "quay-1")
    read = fleet.service.get_camera("gate")

    def write(rate: int) -> str:
        try:
            body = {**read, "spec": {**read["spec"], "rate": rate}}
            return str(fleet.service.apply_camera("gate", body).change)
        except Exception as error:  # noqa: BLE001 - its kind is what the test is about
            return type(error).__name__

    with ThreadPoolExecutor(2) as pool:
        results = sorted(pool.map(write, [5, 6]))
    assert results == ["Conflict", "configured"]
