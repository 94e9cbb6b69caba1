"""`python -m models.RECIPE run`: what every recipe's command does around its own work.

Rules that hold here: exit code 0 means that the release is there, 143 that SIGTERM came and the same command goes on, 1
that something is wrong, said in one sentence on standard error.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor
from pathlib import Path
from subprocess import CalledProcessError
from typing import TypeAlias, TypeVar

from models.run.folder import STOPPED, RunFolder, Stopped
from models.run.settings import Asked, resolved
from protos.errors import LongshoreError

S = TypeVar("S")
Files = Mapping[str, bytes]
Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - it has no other name
Work = Callable[[S, Asked, RunFolder], Files]

NEEDED = "use .venv-train/bin/python, which scripts/bootstrap train makes"

EXAMPLES = """\
examples:
  python -m models.{name} run --set {setting}
  python -m models.{name} run --set {setting} --run /data/runs/monday
"""


def add_run(verbs: Verbs, name: str, setting: str, text: str) -> argparse.ArgumentParser:
    """The verb `run` with its options, for the recipe `name`; `setting` is what an example sets."""
    verb = verbs.add_parser(
        "run",
        help=text,
        description=f"{text}. Started again in the same folder, it goes on where it was.",
        epilog=EXAMPLES.format(name=name, setting=setting),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting")
    verb.add_argument(
        "--run", type=Path, default=_run_folder(name), metavar="DIR", help="the folder of this Run (%(default)s)"
    )
    return verb


def _run_folder(name: str) -> Path:
    return Path(os.environ.get("LONGSHORE_RUN_DIR") or Path(".longshore") / "by-hand" / name)


def _stopped() -> int:
    print("stopped; the same command goes on from here", flush=True)
    return STOPPED


def run(defaults: S, asked: Asked, options: argparse.Namespace, work: Work[S]) -> int:
    """Do `work` in the folder of the Run; the exit code. torch must not be imported before."""
    # Threads that wait for each other sleep: spinning, as is the default, cost two to four times the processor time on
    # a machine that had other work, such as the boxes of a demo. OpenMP reads this once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    folder = RunFolder(options.run)
    try:
        settings, asked = resolved(defaults, asked, options.run, options.set)
        if not (folder.release / "manifest.json").exists():
            with folder.stoppable():
                folder.write_release(work(settings, asked, folder))
    except Stopped:
        return _stopped()
    except (BrokenExecutor, CalledProcessError):
        if folder.stopping:  # the signal went to the whole group, and a worker was quicker than we
            return _stopped()
        raise
    except ModuleNotFoundError as error:
        print(f"{error.name} is not in this environment; {NEEDED}", file=sys.stderr)
        return 1
    except LongshoreError as error:
        print(f"{error}", file=sys.stderr)
        return 1
    print(f"release {asked.model} {asked.version} is in {folder.release}", flush=True)
    return 0
