"""The Python that recipes run with: `.venv-train` of the checkout, made on first use by `scripts/bootstrap train`.

torch is too large to lie about for those who never train (docs/adr/0006). Somebody who has it already names that Python
instead, and nothing is made.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from controlplane.training.ports import Trainer
from protos.errors import Rejected

CHECKOUT = Path(__file__).parents[2]
LEAST_FETCH_BYTES = 700_000_000  # where pip knows torch's builds for the CPU
MOST_FETCH_BYTES = 3_000_000_000  # where it knows those for CUDA only
DISK_BYTES = 6_000_000_000
_SIZES = "about 0.7 GB to fetch where pip knows torch's CPU builds, else 3 GB and 6 GB on disk"


class TrainingEnvironment:
    def __init__(self, checkout: Path = CHECKOUT, python: Path | None = None) -> None:
        """`python`: one that has all that recipes need."""
        self.checkout = checkout
        self._given = python
        self._folder = checkout / ".venv-train"

    @property
    def python(self) -> Path:
        return self._given or self._folder / "bin" / "python"

    @property
    def note(self) -> str:
        """For the log, before it is made."""
        return f"making the training environment {self._folder}, once: {_SIZES}"

    def preparation(self) -> tuple[str, ...]:
        """The command that makes it; empty when it is there. Raises Rejected where it cannot be made."""
        if self._ready():
            return ()
        problem = self._problem()
        if problem is not None:
            raise Rejected(f"{problem[0]}; {problem[1]}")
        return (str(self.checkout / "scripts/bootstrap"), "train")

    def trainer(self) -> Trainer:
        free = shutil.disk_usage(self.checkout).free
        if self._ready():
            return Trainer("local", can_train=True, ready=True, message="training runs here", free_bytes=free)
        problem = self._problem()
        message, remedy = problem or (f"the first run makes the training environment, once: {_SIZES}", "")
        return Trainer(
            executor="local",
            can_train=problem is None,
            ready=False,
            message=message,
            remedy=remedy,
            least_fetch_bytes=LEAST_FETCH_BYTES,
            most_fetch_bytes=MOST_FETCH_BYTES,
            disk_bytes=DISK_BYTES,
            free_bytes=free,
        )

    def _ready(self) -> bool:
        if self._given is not None:
            return os.access(self._given, os.X_OK)
        lock = self.checkout / "requirements/train.lock"
        try:
            stamp = (self._folder / "longshore.stamp").read_text().splitlines()
            digest = hashlib.sha256(lock.read_bytes()).hexdigest()
        except OSError:
            return False
        return f"train {digest} {self.checkout}" in stamp and self.python.exists()

    def _problem(self) -> tuple[str, str] | None:
        """Why it is not there and cannot be made, and what to do."""
        if self._given is not None:
            return f"{self._given} is no program", "give --train-python a Python that has torch, or leave it out"
        if not (self.checkout / "scripts/bootstrap").exists():
            return (
                "this control plane was not started from a checkout of Longshore, which training needs",
                "clone it and run 'make demo' or 'longshore up' there, or give --train-python and --recipes",
            )
        if not os.access(self.checkout, os.W_OK):
            return f"{self.checkout} cannot be written", "as its owner, run 'scripts/bootstrap train' there"
        free = shutil.disk_usage(self.checkout).free
        if free < DISK_BYTES:
            return (
                f"the training environment needs {DISK_BYTES / 1e9:.0f} GB on disk and {free / 1e9:.1f} GB are free",
                "make room, or give --train-python a Python that has torch",
            )
        return None
