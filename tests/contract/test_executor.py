"""The contract of controlplane.training.ports.Executor, and what only this machine's own has to keep."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.adapters import run_keeper
from controlplane.adapters.executor_local import LocalExecutor
from controlplane.adapters.executor_memory import MemoryExecutor
from controlplane.adapters.training_environment import TrainingEnvironment
from controlplane.errors import Conflict
from controlplane.training.ports import Executor, Job, Look, Part, State
from protos.errors import Rejected

SECONDS = 60.0  # a loaded machine is no failure
GRACE = 1.5
WORLD = {"PATH": os.environ["PATH"], "LONGSHORE_TOKEN": "secret", "HOME": "/home/x"}

GOES_ON = "import time; print('here', flush=True); time.sleep(600)"
ENDS_WELL = (
    "import os,pathlib; d=pathlib.Path(os.environ['LONGSHORE_RUN_DIR']); (d/'release').mkdir();"
    "(d/'release/manifest.json').write_text('{}'); (d/'work').mkdir(); (d/'work/x').write_text('x'); print('done')"
)
STOPS = (
    "import signal,sys,time; signal.signal(15, lambda *_: sys.exit(143)); print('here', flush=True); time.sleep(600)"
)
IS_DEAF = "import signal,time; signal.signal(15, signal.SIG_IGN); print('here', flush=True); time.sleep(600)"
FAILS = "import sys; print('no data'); sys.exit(3)"
DIES = "import os; os.kill(os.getpid(), 9)"
ENDS = {GOES_ON: -15, STOPS: 143, IS_DEAF: -9}  # of one that is asked to stop


class Memory:
    """Plays what the script would do."""

    def __init__(self, _folder: Path) -> None:
        self.executor = MemoryExecutor()

    def begin(self, job: Job) -> None:
        self.executor.begin(job)
        played, script = self.executor.jobs[job.name], job.command[-1]
        if script in ENDS:
            played.parts.setdefault(Part.LOG, b"here\n")
        else:
            code = {ENDS_WELL: 0, FAILS: 3, DIES: -9}[script]
            played.look = replace(played.look, state=State.ENDED, code=code)
            played.release = {"manifest.json": b"{}"} if code == 0 else {}
            played.parts[Part.LOG] = b"done\n" if code == 0 else b"no data\n"

    def look(self, name: str) -> Look:
        played = self.executor.jobs.get(name)
        if played and played.look.alive and played.look.told:
            played.look = replace(played.look, state=State.ENDED, code=ENDS[played.job.command[-1]])
        return self.executor.look(name)


class Local:
    """Runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "runs"
        self.executor = self.anew()

    def anew(self) -> LocalExecutor:
        """As another process would find things."""
        environment = TrainingEnvironment(python=Path(sys.executable))
        return LocalExecutor(self.folder, environment, WORLD, GRACE)

    def begin(self, job: Job) -> None:
        self.executor.begin(job)

    def look(self, name: str) -> Look:
        return self.executor.look(name)

    def process(self, name: str = "r-1") -> Mapping[str, int]:
        found: Mapping[str, int] = json.loads((self.folder / name / "process.json").read_text())
        return found

    def end(self) -> None:
        for path in self.folder.glob("*/process.json"):
            told = json.loads(path.read_text())
            for number in (told["pid"], told["child"]):
                with suppress(ProcessLookupError):
                    os.kill(number or 2**22 + 1, signal.SIGKILL)


@pytest.fixture(params=[Memory, Local])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory | Local]:
    made: Memory | Local = request.param(tmp_path)
    yield made
    if isinstance(made, Local):
        made.end()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    made = Local(tmp_path)
    yield made
    made.end()


def job(script: str, attempt: int = 1, name: str = "r-1") -> Job:
    return Job(name, attempt, ("{python}", "-c", script), "/recipes/r", {"epochs": 2, "model": "m", "version": "1.0.0"})


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(world: Memory | Local, name: str = "r-1") -> Look:
    until(lambda: not world.look(name).alive)
    return world.look(name)


def speaks(executor: Executor, name: str = "r-1", word: bytes = b"here") -> None:
    until(lambda: word in executor.read(name, Part.LOG, 0, 1 << 20))


def gone(pid: int) -> bool:
    """Dead, also where nobody waits for it."""
    with suppress(OSError):
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    return True


# ---- every executor ----


def test_what_was_never_started_is_absent(world: Memory | Local) -> None:
    executor = world.executor
    assert executor.look("r-1") == Look(State.ABSENT)
    assert (executor.size("r-1", Part.LOG), executor.read("r-1", Part.PROGRESS, 0, 9)) == (0, b"")
    executor.stop("r-1")
    executor.trim("r-1")
    executor.forget("r-1")


def test_a_job_that_ends_well_leaves_log_and_release(world: Memory | Local) -> None:
    world.begin(job(ENDS_WELL))
    assert ended(world) == Look(State.ENDED, 1, 0)
    executor = world.executor
    text = executor.read("r-1", Part.LOG, 0, 1 << 20)
    assert text.endswith(b"done\n")
    assert executor.size("r-1", Part.LOG) == len(text)
    assert executor.read("r-1", Part.LOG, len(text) - 5, 3) == b"don"
    with executor.open_release("r-1", "manifest.json") as file:
        assert file.read() == b"{}"
    with pytest.raises(Rejected, match=r"left no model\.onnx"):
        executor.open_release("r-1", "model.onnx")


@pytest.mark.parametrize(("script", "code"), [(FAILS, 3), (DIES, -9)])
def test_how_a_job_ended_is_told(world: Memory | Local, script: str, code: int) -> None:
    world.begin(job(script))
    assert ended(world) == Look(State.ENDED, 1, code)


def test_a_job_that_runs_is_started_once(world: Memory | Local) -> None:
    for _ in range(3):
        world.begin(job(GOES_ON))
    speaks(world.executor)
    assert world.look("r-1") == replace(world.look("r-1"), attempt=1, code=None, told=False)
    assert world.look("r-1").alive
    assert world.executor.read("r-1", Part.LOG, 0, 1 << 20).count(b"here") == 1
    with pytest.raises(Conflict):
        world.executor.forget("r-1")


@pytest.mark.parametrize("script", list(ENDS))
def test_a_job_that_is_stopped_is_told_so_and_ends_however_deaf(world: Memory | Local, script: str) -> None:
    world.begin(job(script))
    speaks(world.executor)
    world.executor.stop("r-1")
    world.executor.stop("r-1")
    assert ended(world) == Look(State.ENDED, 1, ENDS[script], told=True)


def test_the_next_start_is_another_attempt_of_the_same_folder(world: Memory | Local) -> None:
    world.begin(job(FAILS))
    ended(world)
    world.begin(job(ENDS_WELL, 2))
    assert ended(world) == Look(State.ENDED, 2, 0)
    world.executor.trim("r-1")
    with pytest.raises(Rejected):
        world.executor.open_release("r-1", "manifest.json")
    assert world.executor.size("r-1", Part.LOG) > 0
    world.executor.forget("r-1")
    assert world.look("r-1").state is State.ABSENT
    assert world.executor.size("r-1", Part.LOG) == 0


# ---- this machine's ----


def test_settings_and_a_clean_environment_reach_the_recipe(local: Local) -> None:
    local.begin(job("import os,json; print(json.dumps(dict(os.environ))); print(os.getcwd(), os.nice(0))"))
    ended(local)
    told = local.executor.read("r-1", Part.LOG, 0, 1 << 20).decode()
    assert '"HOME": "/home/x"' in told
    assert '"LONGSHORE_RUN_DIR"' in told
    assert "secret" not in told
    assert told.splitlines()[-1] == f"{Path(__file__).parents[2]} {min(19, os.nice(0) + run_keeper.NICE)}"
    assert json.loads((local.folder / "r-1/settings.json").read_text()) == dict(job("").settings)
    assert (local.folder / "r-1").stat().st_mode & 0o777 == 0o700


def test_a_job_outlives_who_started_it_and_is_found_again(local: Local) -> None:
    local.begin(job(STOPS))
    speaks(local.executor)
    other = local.anew()
    assert other.look("r-1") == Look(State.RUNNING, 1)
    other.begin(job(STOPS))
    other.stop("r-1")
    until(lambda: not other.look("r-1").alive)
    assert other.look("r-1") == Look(State.ENDED, 1, 143, told=True)


def test_what_a_recipe_started_dies_with_it(local: Local) -> None:
    child = "import subprocess,time; print('left', subprocess.Popen(['sleep','600']).pid, flush=True)"
    local.begin(job(f"{child}; raise SystemExit(0)"))
    ended(local)
    pid = int(local.executor.read("r-1", Part.LOG, 0, 1 << 20).split()[-1])
    until(lambda: gone(pid))


def test_a_killed_keeper_takes_its_recipe_along_and_is_told_as_lost(local: Local) -> None:
    local.begin(job(GOES_ON))
    speaks(local.executor)
    told = local.process()
    os.kill(told["pid"], signal.SIGKILL)
    assert ended(local) == Look(State.ENDED, 1, None)
    until(lambda: gone(told["child"]))


def test_what_a_lost_recipe_left_behind_is_gone_before_it_starts_again(local: Local) -> None:
    local.begin(
        job("import subprocess,time; print('left', subprocess.Popen(['sleep','600']).pid, flush=True); time.sleep(600)")
    )
    speaks(local.executor, word=b"left")
    left = int(local.executor.read("r-1", Part.LOG, 0, 1 << 20).split()[-1])
    os.kill(local.process()["pid"], signal.SIGKILL)
    ended(local)
    assert not gone(left)
    local.begin(job(ENDS_WELL, 2))
    until(lambda: gone(left))


def test_a_process_number_that_another_boot_gave_is_not_signalled(local: Local) -> None:
    local.begin(job(STOPS))
    speaks(local.executor)
    path = local.folder / "r-1/process.json"
    for wrong in ({"boot": "another"}, {"started": 1}):
        told = json.loads(path.read_text())
        path.write_text(json.dumps({**told, **wrong}))
        local.executor.stop("r-1")
        path.write_text(json.dumps(told))
    assert run_keeper.start_ticks(local.process()["pid"]) is not None
    assert not ended_soon(local)


def ended_soon(local: Local) -> bool:
    time.sleep(0.3)
    return not local.look("r-1").alive


def test_a_recipe_that_prints_without_end_fills_no_disk(local: Local) -> None:
    """The first and the newest lines stay, whole; bytes keep their numbers, so that a reader goes on where it was."""
    line = "{:0200}"
    local.begin(job(f"for n in range(100_000): print('{line}'.format(n))"))
    assert ended(local) == Look(State.ENDED, 1, 0)
    executor, kept = local.executor, sum(path.stat().st_size for path in (local.folder / "r-1").glob("log*.txt"))
    gone, on = executor.gap("r-1")
    assert kept == executor.size("r-1", Part.LOG) - (on - gone)
    assert kept < (run_keeper.NEWEST + 2) * (run_keeper.PIECE + 300)
    head = executor.read("r-1", Part.LOG, 0, 1 << 30).splitlines()
    assert (len(executor.read("r-1", Part.LOG, 0, 1 << 30)), int(head[1]), len(head[-1])) == (gone, 0, 200)
    assert executor.read("r-1", Part.LOG, gone, 100) == b""
    tail = executor.read("r-1", Part.LOG, on, 1 << 30).splitlines()
    assert [int(each) for each in tail] == list(range(100_000 - len(tail), 100_000))


def test_a_line_without_end_fills_no_disk_either(local: Local) -> None:
    local.begin(job("import sys\nfor _ in range(30): sys.stdout.write('x' * (1 << 20))"))
    assert ended(local) == Look(State.ENDED, 1, 0)
    kept = [path for _, path in run_keeper.pieces(local.folder / "r-1")]
    assert sum(path.stat().st_size for path in kept) < (run_keeper.NEWEST + 2) * (2 * run_keeper.PIECE + (1 << 17))
    assert all(path.read_bytes().endswith(b"\n") for path in kept[:-1])


def test_a_program_that_is_not_there_is_told_in_the_log(local: Local) -> None:
    local.begin(replace(job(""), command=("/nowhere/python",)))
    assert ended(local) == Look(State.ENDED, 1, 127)
    assert b"/nowhere/python cannot be started" in local.executor.read("r-1", Part.LOG, 0, 1 << 20)


# ---- the environment ----


def checkout(folder: Path, bootstrap: str) -> TrainingEnvironment:
    """One whose `scripts/bootstrap train` is `bootstrap`."""
    for name, text in {"scripts/bootstrap": f"#!/bin/sh\n{bootstrap}\n", "requirements/train.lock": "torch"}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return TrainingEnvironment(folder)


MAKES = f"""echo fetching torch
mkdir -p .venv-train/bin && ln -s {sys.executable} .venv-train/bin/python
echo "train $(sha256sum requirements/train.lock | cut -c1-64) $PWD" >.venv-train/longshore.stamp"""


def test_the_environment_is_made_once_and_said_in_the_log(local: Local, tmp_path: Path) -> None:
    environment = checkout(tmp_path / "checkout", MAKES)
    local.executor = LocalExecutor(local.folder, environment, WORLD, GRACE)
    before = environment.trainer()
    assert (before.can_train, before.ready, "0.7 GB" in before.message) == (True, False, True)
    local.begin(job(ENDS_WELL))
    assert ended(local) == Look(State.ENDED, 1, 0)
    text = local.executor.read("r-1", Part.LOG, 0, 1 << 20).decode()
    assert text.index("3 GB") < text.index("fetching torch") < text.index("done")
    assert environment.trainer().ready
    local.begin(job(ENDS_WELL.replace("mkdir()", "mkdir(exist_ok=True)"), 2))
    ended(local)
    assert local.executor.read("r-1", Part.LOG, 0, 1 << 20).count(b"fetching torch") == 1


def test_an_environment_that_cannot_be_made_is_told_apart(local: Local, tmp_path: Path) -> None:
    environment = checkout(tmp_path / "checkout", "echo no network; exit 1")
    local.executor = LocalExecutor(local.folder, environment, WORLD, GRACE)
    local.begin(job(ENDS_WELL))
    assert ended(local) == Look(State.UNPREPARED, 1, 1)


def test_where_nothing_can_be_made_the_reason_is_said(tmp_path: Path) -> None:
    installed = TrainingEnvironment(tmp_path)
    told = installed.trainer()
    assert (told.can_train, "not started from a checkout" in told.message) == (False, True)
    with pytest.raises(Rejected, match="--train-python"):
        installed.preparation()
    wrong = TrainingEnvironment(tmp_path, python=tmp_path / "python").trainer()
    assert (wrong.can_train, "is no program" in wrong.message) == (False, True)
