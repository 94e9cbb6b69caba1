"""The n-th operation on an outbox's files fails: nothing ends, the books are even, and it goes on.

Some n of each kind and error; all up to 200 are `python -m bench.bench_power`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.power import agents
from tests.crash import disk_faults
from tests.servers.require import program

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def shim() -> None:
    program("cc", "gcc libc6-dev")


@pytest.fixture
def strace() -> None:
    program("strace", "strace")
    if not agents.possible():
        pytest.skip(agents.MISSING)


@pytest.mark.usefixtures("shim")
def test_whichever_operation_fails_every_record_is_stored_or_declared() -> None:
    found = disk_faults.swept(every=70)
    assert [sentence for each in found.values() for sentence in each["wrong"]] == []
    assert all(each["fired"] >= 2 for each in found.values())
    assert max(each["slowest"] for each in found.values()) < 10.0


@pytest.mark.usefixtures("shim")
def test_unless_the_file_is_asked_for_a_commit_that_failed_records_are_counted_twice() -> None:
    found = disk_faults.swept(every=70, kinds="s", without="asking whether a failed commit is there")
    assert all(each["wrong"] for each in found.values())


@pytest.mark.usefixtures("strace")
async def test_a_real_agent_answers_cameras_while_its_outbox_fails_and_recovers(tmp_path: Path) -> None:
    result = await agents.prove(tmp_path, samples=2)
    assert result["missed"] == []
    assert result["calls_failed"] > 2
