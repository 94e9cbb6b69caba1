"""What a worker says of its sandbox, and what the fleet hears of it."""

from __future__ import annotations

import errno
import threading

import pytest

from agent.workers.sandboxes import Sandboxes
from protos.problems import NOTICE
from sandbox import entry, kernel, landlock, profiles
from sandbox.report import MENDS, Confined, Layer

WELL = tuple(Layer(name, holds=True, detail="") for name in MENDS)


def without(name: str, detail: str = "this kernel does not offer it") -> tuple[Layer, ...]:
    return tuple(Layer(each.name, each.name != name, detail) for each in WELL)


def test_a_sandbox_with_all_its_layers_is_no_problem() -> None:
    sandboxes = Sandboxes()
    sandboxes.told(Confined("engine", WELL))
    assert sandboxes.problems() == []


@pytest.mark.parametrize("name", MENDS)
def test_a_missing_layer_is_one_problem_that_names_its_workers_and_how_to_mend_it(name: str) -> None:
    sandboxes = Sandboxes()
    sandboxes.told(Confined("network", without(name)))
    sandboxes.told(Confined("engine", without(name)))
    (problem,) = sandboxes.problems()
    assert problem.code == "sandbox"
    assert problem.message.startswith(f"workers (engine, network) run without {name}: ")
    assert problem.message.endswith(MENDS[name])


def test_a_layer_whose_work_others_do_is_a_notice_until_a_worker_has_nothing_else() -> None:
    sandboxes, lacking = Sandboxes(), Layer("cgroup", holds=False, detail="/sys/fs/cgroup is read-only", vital=False)
    sandboxes.told(Confined("engine", (lacking,)))
    (problem,) = sandboxes.problems()
    assert problem.code == NOTICE
    assert problem.message.startswith("workers (engine) run without cgroup: /sys/fs/cgroup is read-only; run the agent")
    sandboxes.told(Confined("gpu", (Layer("cgroup", holds=False, detail="/sys/fs/cgroup is read-only"),)))
    (problem,) = sandboxes.problems()
    assert problem.code == "sandbox"
    assert problem.message.startswith("workers (engine, gpu) run without cgroup: ")


def test_a_layer_that_is_there_again_is_no_problem_any_more() -> None:
    sandboxes = Sandboxes()
    sandboxes.told(Confined("engine", without("landlock")))
    sandboxes.told(Confined("engine", WELL))
    assert sandboxes.problems() == []


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process keeps its rights: whatever would take one away does nothing."""
    monkeypatch.setattr(entry, "_at_most", lambda *_: None)
    monkeypatch.setattr(kernel, "set_no_new_privileges", lambda: False)
    monkeypatch.setattr(kernel, "drop_capabilities", lambda: None)
    monkeypatch.setattr(kernel, "capabilities", lambda: 1)
    monkeypatch.setattr(kernel, "install", lambda _: None)
    monkeypatch.setattr(landlock, "version", lambda: 1)
    monkeypatch.setattr(landlock, "restrict", lambda *_: 1)


def lacking(profile: profiles.Profile) -> dict[str, str]:
    return {layer.name: layer.detail for layer in entry.enter(profile).missing}


@pytest.mark.usefixtures("kept")
def test_a_layer_that_was_set_and_does_not_hold_is_told() -> None:
    found = lacking(profiles.engine(1, 1))
    assert found.keys() == {"no_new_privs", "capabilities", "landlock", "seccomp"}
    assert found["landlock"] == "it was set, and yet this process can open a folder"
    assert found["seccomp"] == "it was set, and yet this process can open a socket"


@pytest.mark.usefixtures("kept")
def test_a_kernel_without_a_layer_stops_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_: bytes) -> None:
        raise OSError(errno.EINVAL, "seccomp: Invalid argument")

    monkeypatch.setattr(kernel, "install", refuses)
    monkeypatch.setattr(landlock, "version", lambda: 0)
    found = lacking(profiles.engine(1, 1))
    assert found["landlock"] == "this kernel does not offer it"
    assert found["seccomp"] == "seccomp: Invalid argument"
    monkeypatch.setattr(kernel, "machine", lambda: None)
    assert "no table" in lacking(profiles.engine(1, 1))["seccomp"]


@pytest.mark.usefixtures("kept")
def test_threads_that_landlock_came_too_late_for_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "_refused", lambda *_: None)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert "threads started before it" in lacking(profiles.engine(1, 1))["landlock"]
    finally:
        done.set()
        thread.join()
