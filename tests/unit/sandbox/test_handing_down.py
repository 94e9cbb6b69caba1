"""The agent's own cgroup of version 2 is made ready for others below it, or left as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import cgroup
from sandbox.hierarchy import Absent, Hierarchy
from tests.sim.cgroups import SimCgroup

ME, OTHER = os.getpid(), 1


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SimCgroup]:
    def one(*inside: int, controllers: str = "cpu memory pids") -> SimCgroup:
        sim = SimCgroup(tmp_path, set(inside), controllers)
        monkeypatch.setattr(cgroup, "_write", sim.write)
        return sim

    return one


def prepared(sim: SimCgroup) -> Hierarchy | Absent:
    return cgroup.prepared(Hierarchy(2, sim.folder, sim.folder))


def test_an_agent_that_is_alone_moves_below_and_hands_memory_and_tasks_down(make: Callable[..., SimCgroup]) -> None:
    sim = make(ME)
    assert prepared(sim) == Hierarchy(2, sim.folder, sim.folder)
    assert sim.handed_down == "memory pids"
    assert sim.moved == {ME: sim.folder / "longshore-agent"}


def test_an_agent_that_is_not_alone_stays_where_it_was(make: Callable[..., SimCgroup]) -> None:
    sim = make(ME, OTHER)
    assert prepared(sim) == Absent("other processes are in the agent's cgroup")
    assert (sim.inside, sim.moved, sim.handed_down) == ({ME, OTHER}, {}, "")
    assert not (sim.folder / "longshore-agent").exists()


def test_nobody_moves_where_controllers_were_handed_down_before(make: Callable[..., SimCgroup]) -> None:
    sim = make(ME)
    (sim.folder / "cgroup.subtree_control").write_text("cpu memory pids")
    assert isinstance(prepared(sim), Hierarchy)
    assert sim.inside == {ME}


def test_a_cgroup_that_was_not_given_memory_is_no_place(make: Callable[..., SimCgroup]) -> None:
    sim = make(ME, controllers="cpu pids")
    assert prepared(sim) == Absent("the agent's cgroup is not given the memory controller")
    assert sim.inside == {ME}


def test_tasks_are_not_counted_where_that_is_not_given(make: Callable[..., SimCgroup]) -> None:
    sim = make(ME, controllers="memory")
    assert isinstance(prepared(sim), Hierarchy)
    assert sim.handed_down == "memory"
