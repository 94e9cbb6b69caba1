"""The launcher: it counts before it starts, survives every broken berth, and needs nothing but Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent import launcher
from agent.berths.choice import FILE, OUTSIDE, PYTHON, STARTS, VARIABLE, Choice
from agent.launcher import picked, read, write

CHECKOUT = Path(__file__).parents[3]


def yes(_: Path) -> bool:
    return True


def no(_: Path) -> bool:
    return False


def test_a_box_that_was_never_updated_starts_what_is_outside(tmp_path: Path) -> None:
    assert picked(tmp_path / "absent", yes) == OUTSIDE


def test_a_start_is_on_disk_before_it_happens(tmp_path: Path) -> None:
    write(tmp_path, Choice("a", "b"))
    seen: list[int] = []

    def looking(_: Path) -> bool:
        seen.append(read(tmp_path).starts)
        return True

    assert [picked(tmp_path, looking) for _ in range(STARTS)] == ["b"] * STARTS
    assert seen == list(range(1, STARTS + 1))
    assert picked(tmp_path, yes) == "a"


def test_a_trial_that_does_not_load_is_passed_over_at_once(tmp_path: Path) -> None:
    write(tmp_path, Choice("a", "b"))
    assert picked(tmp_path, lambda python: "/b/" not in str(python)) == "a"
    assert read(tmp_path) == Choice("a", "b", 1)


def test_where_nothing_loads_what_is_outside_starts(tmp_path: Path) -> None:
    write(tmp_path, Choice("a", "b"))
    assert picked(tmp_path, no) == OUTSIDE


def test_a_start_that_cannot_be_counted_is_of_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, Choice("a", "b"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(launcher, "write", full)
    assert picked(tmp_path, yes) == "a"
    assert "cannot count a start (No space left on device)" in capsys.readouterr().err


def test_a_program_that_is_not_there_hangs_or_fails_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "LOAD_SECONDS", 0.2)
    program = tmp_path / "python"
    assert not launcher.loads(program)
    for body in ("sleep 60", "exit 1"):
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        assert not launcher.loads(program)


def test_it_loads_the_standard_library_alone() -> None:
    asked = "import sys, agent.launcher; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-S", "-c", asked], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - set(sys.stdlib_module_names) == {"__main__", "agent"}


def test_it_becomes_the_agent_of_the_berth_and_tells_it_where_it_runs(tmp_path: Path) -> None:
    python = tmp_path / "berths" / "a" / PYTHON
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$$ ${VARIABLE} $*"\n')
    python.chmod(0o755)
    write(tmp_path / "berths", Choice("a"))
    command = [sys.executable, "-P", "-m", "agent.launcher", str(tmp_path), "run", "--state-dir", str(tmp_path)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, env=_paths()) as started:
        told = started.communicate(timeout=30)[0]
        assert told == f"{started.pid} a -P -m agent.main run --state-dir {tmp_path}\n"  # the same process


def _paths() -> dict[str, str]:
    return {"PYTHONPATH": str(CHECKOUT), "PATH": "/usr/bin:/bin"}


def test_the_file_is_whole_or_not_at_all(tmp_path: Path) -> None:
    write(tmp_path, Choice("a"))
    (tmp_path / FILE).chmod(0o400)
    write(tmp_path, Choice("b"))
    assert read(tmp_path) == Choice("b")
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
