"""What the service starts: it picks a berth, and becomes the agent that lies there.

    python -P -m agent.launcher STATE_DIR run --state-dir STATE_DIR …

It is of the environment that was installed from outside, imports the standard library and agent.berths.choice alone,
and is never changed by an update. A start of a trial is on disk before it happens; where it cannot be counted, what is
kept starts. A berth whose Python does not load the agent is passed over: a damaged disk, or another Python of the
system.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from agent.berths import choice as choices
from agent.berths.choice import FILE, FOLDER, OUTSIDE, PYTHON, VARIABLE, Choice

LOAD_SECONDS = 45.0  # to import the agent: it takes a slow box a few


def python_of(folder: Path, berth: str) -> Path:
    return Path(sys.executable) if berth == OUTSIDE else folder / berth / PYTHON


def picked(folder: Path, loads: Callable[[Path], bool]) -> str:
    """The berth to start now. Its start is counted, should it be a trial."""
    choice = read(folder)
    after = choices.counted(choice)
    order = choices.candidates(choice)
    if after != choice and not _written(folder, after):
        order = choices.candidates(Choice(choice.kept))
    return next((each for each in order if each == OUTSIDE or loads(python_of(folder, each))), OUTSIDE)


def read(folder: Path) -> Choice:
    try:
        return choices.from_bytes((folder / FILE).read_bytes())
    except OSError:
        return Choice()


def write(folder: Path, choice: Choice) -> None:
    """Whole and durable, or not at all. Raises OSError."""
    beside, final = folder / f".{FILE}.tmp", folder / FILE
    with beside.open("wb") as file:
        file.write(choices.to_bytes(choice))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(final)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def loads(python: Path) -> bool:
    """Whether the agent of that environment can be imported."""
    command = [str(python), "-P", "-c", "import agent.main"]
    try:
        return subprocess.run(command, timeout=LOAD_SECONDS, check=False, capture_output=True).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def main() -> None:
    folder, arguments = Path(sys.argv[1]) / FOLDER, sys.argv[2:]
    berth = picked(folder, loads)
    python = str(python_of(folder, berth))
    sys.stderr.write(f"launcher: the agent in berth {berth} starts\n")
    sys.stderr.flush()
    os.environ[VARIABLE] = berth
    os.execv(python, [python, "-P", "-m", "agent.main", *arguments])  # noqa: S606 - it becomes the agent


def _written(folder: Path, choice: Choice) -> bool:
    try:
        write(folder, choice)
    except OSError as error:
        sys.stderr.write(f"launcher: cannot count a start ({error.strerror}); what is kept starts\n")
        return False
    return True


if __name__ == "__main__":
    main()
