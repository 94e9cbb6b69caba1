"""The agent's own cgroup of version 2 is made ready for others below it, or left as it was."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
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


def no_descriptor_left(*_: object) -> None:
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Hierarchy | Absent]]:
    """What an agent that has not looked yet will find, look by look."""
    to_find: list[Hierarchy | Absent] = []
    monkeypatch.setattr(cgroup, "_of_this_process", lambda: to_find.pop(0))
    forget()
    yield to_find
    forget()


def forget() -> None:
    for kept in (cgroup._lasting, cgroup._place):
        kept.cache_clear()


def test_an_agent_that_is_alone_moves_below_and_hands_memory_and_tasks_down(make: Callable[..., SimCgroup]) -> None:
    sim = make(ME)
    assert prepared(sim) == Hierarchy(2, sim.folder, sim.folder)
    assert sim.handed_down == "memory pids"
    assert sim.moved == {ME: sim.folder / "longshore-agent"}


def test_an_agent_that_is_not_alone_stays_where_it_was(make: Callable[..., SimCgroup]) -> None:
    sim = make(ME, OTHER)
    with pytest.raises(OSError, match="other processes are in the agent's cgroup"):
        prepared(sim)
    assert (sim.inside, sim.moved, sim.handed_down) == ({ME, OTHER}, {}, "")
    assert not (sim.folder / "longshore-agent").exists()


def test_the_next_worker_asks_anew_after_what_has_passed(
    make: Callable[..., SimCgroup], looks: list[Hierarchy | Absent], monkeypatch: pytest.MonkeyPatch
) -> None:
    sim = make(ME)
    looks.append(Hierarchy(2, sim.folder, sim.folder))
    with monkeypatch.context() as full:
        full.setattr(cgroup, "_words", no_descriptor_left)
        assert cgroup.own() == Absent("Too many open files")
    assert cgroup.own() == cgroup.own() == Hierarchy(2, sim.folder, sim.folder)


def test_what_was_made_for_one_worker_is_not_taken_for_something_left_by_the_next(
    make: Callable[..., SimCgroup], looks: list[Hierarchy | Absent]
) -> None:
    sim = make(ME)
    looks.append(Hierarchy(2, sim.folder, sim.folder))
    cgroup.own()
    mine = sim.folder / f"longshore-{ME}-1"  # not entered yet
    mine.mkdir()
    cgroup.own()
    assert mine.exists()


def test_what_lasts_is_looked_for_once(looks: list[Hierarchy | Absent]) -> None:
    looks.append(Absent("this kernel has no cgroup that counts memory"))
    assert cgroup.own() == cgroup.own() == Absent("this kernel has no cgroup that counts memory")


def test_an_agent_that_could_not_move_back_goes_on_from_where_it_was_first(
    make: Callable[..., SimCgroup], looks: list[Hierarchy | Absent], monkeypatch: pytest.MonkeyPatch
) -> None:
    sim = make(ME)
    below = sim.folder / "longshore-agent"
    looks += [Hierarchy(2, sim.folder, sim.folder), Hierarchy(2, below, below)]
    with monkeypatch.context() as full:
        full.setattr(cgroup, "_write", sim.until_it_has_moved(OSError(errno.EMFILE, "Too many open files")))
        assert cgroup.own() == Absent("Too many open files")
    assert cgroup.own() == Hierarchy(2, sim.folder, sim.folder)


def test_nobody_moves_where_controllers_were_handed_down_before(make: Callable[..., SimCgroup]) -> None:
    sim = make(ME)
    (sim.folder / "cgroup.subtree_control").write_text("cpu memory pids")
    assert isinstance(prepared(sim), Hierarchy)
    assert sim.inside == {ME}


@pytest.fixture
def agent(make: Callable[..., SimCgroup], monkeypatch: pytest.MonkeyPatch) -> SimCgroup:
    """One that runs, as another process sees it."""
    sim = make(ME)

    def found(_: int | str) -> Hierarchy:
        folder = sim.moved.get(ME, sim.folder)
        return Hierarchy(2, folder, folder)

    monkeypatch.setattr(cgroup, "_of_process", found)
    return sim


def test_another_process_sees_what_workers_of_an_agent_have(agent: SimCgroup) -> None:
    prepared(agent)
    assert cgroup.of_workers(ME) == f"none is needed yet below {agent.folder}"
    (agent.folder / f"longshore-{ME}-1").mkdir()
    (agent.folder / "longshore-999-1").mkdir()  # of another
    assert cgroup.of_workers(ME) == f"1 of workers below {agent.folder}"


def test_another_process_sees_that_workers_of_an_agent_have_none(agent: SimCgroup) -> None:
    (agent.folder / "cgroup.procs").write_text(f"{ME}\n{OTHER}\n")
    with pytest.raises(OSError, match="2 processes share the agent's own"):
        cgroup.of_workers(ME)


def test_in_version_1_others_may_be_there_and_the_folder_must_be_the_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "_of_process", lambda _: Hierarchy(1, tmp_path, tmp_path))
    assert cgroup.of_workers(ME) == f"none is needed yet below {tmp_path}"
    monkeypatch.setattr(cgroup, "_user_of", lambda path: 0 if path == tmp_path else 1000)
    with pytest.raises(OSError, match="the agent's user may make none in"):
        cgroup.of_workers(ME)


def test_a_cgroup_that_was_not_given_memory_is_no_place(make: Callable[..., SimCgroup]) -> None:
    sim = make(ME, controllers="cpu pids")
    assert prepared(sim) == Absent("the agent's cgroup is not given the memory controller")
    assert sim.inside == {ME}


def test_tasks_are_not_counted_where_that_is_not_given(make: Callable[..., SimCgroup]) -> None:
    sim = make(ME, controllers="memory")
    assert isinstance(prepared(sim), Hierarchy)
    assert sim.handed_down == "memory"
