"""What a release is worth: the section `judged` of its manifest, by `longshore package --evaluate`.

Rules that hold here:

- A recipe measures nothing of its own: it lays out what it held out as labelled pictures and asks the command that
  everybody has, in a process of an environment with both planes.
- What comes back is the section as it stands. Costs in it are of the machine that ran this, the rest is of the release.
- A refusal costs nobody a training: the release goes out without the section, boxes take careful priors, and log and
  card say why.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.release import Facts, release_files, write_files
from models.run.folder import RunFolder
from protos import judged
from protos.errors import Rejected
from protos.judged import Judged

REPOSITORY = Path(__file__).parents[1]
AGENT_PYTHON = REPOSITORY / ".venv" / "bin" / "python"  # the training environment has no agent in it
LOOK_EVERY = 0.5  # seconds, whether a stop was asked for
UNTOLD = "the release does not tell what it is worth, and boxes take careful priors"

Lay = Callable[[Path], None]  # writes labelled pictures into a folder that is not there yet
Breathe = Callable[[], None]  # may raise to end it


@dataclass(frozen=True)
class Worth:
    """`why_not`: one sentence, where there is no `judged`."""

    judged: Judged | None
    why_not: str = ""


def evaluated(facts: Facts, model: bytes, lay: Lay, run: RunFolder) -> Worth:
    """What a release of this model is worth on the pictures that `lay` writes.

    Raises:
        Stopped: a stop was asked for.
    """
    run.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="worth-", dir=run.cache) as place:
        release, labelled = Path(place) / "release", Path(place) / "labelled"
        write_files(release, release_files(facts, model, f"# {facts.name} {facts.version}\n"))
        lay(labelled)
        try:
            return Worth(judged.parse(section(release, labelled, interpreter(), run.breathe)))
        except Rejected as refused:
            run.say(f"{UNTOLD}: {refused}")
            return Worth(None, str(refused))


def interpreter() -> str:
    """One with both planes. Raises Rejected where there is none."""
    if AGENT_PYTHON.exists():
        return str(AGENT_PYTHON)
    if all(importlib.util.find_spec(name) for name in ("click", "onnxruntime")):
        return sys.executable
    raise Rejected("no agent is here to look at pictures with; make an environment that has one with scripts/bootstrap")


def section(release: Path, labelled: Path, python: str, breathe: Breathe = lambda: None) -> dict[str, Any]:
    """As it stands in the manifest of the evaluated release; its tables are printed.

    Raises:
        Rejected: the command refused, with what it said.
    """
    with tempfile.TemporaryDirectory(prefix="longshore-worth-") as place:
        made = Path(place) / "made"
        words = ["package", str(release.absolute()), "--evaluate", str(labelled.absolute()), "-o", str(made)]
        code, out, err = _ended([python, "-m", "controlplane.cli.main", *words], breathe)
        breathe()  # a stop that went to the whole group ended the command before us
        if code:
            raise Rejected((err.strip().splitlines() or [f"exit code {code}"])[-1].removeprefix("error: "))
        print(out.partition("\n")[2].partition("next:")[0].strip(), flush=True)
        found: dict[str, Any] = json.loads((made / "manifest.json").read_text())["judged"]
        return found


def _ended(command: Sequence[str], breathe: Breathe) -> tuple[int, str, str]:
    """Exit code, and what it said on either stream. The agent that it starts is this checkout's, too."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while (said := _said(process)) is None:
                breathe()
        finally:
            process.terminate()  # which does nothing to one that has ended
    return process.returncode, *said


def _said(process: subprocess.Popen[str]) -> tuple[str, str] | None:
    """None while it runs."""
    try:
        return process.communicate(timeout=LOOK_EVERY)
    except subprocess.TimeoutExpired:
        return None
