"""The locks answer pyproject.toml, carry hashes, and name no machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from scripts.check_locks import CHECKOUT, faults

PIN = "numpy==2.4.6 \\\n    --hash=sha256:aa\n"


def test_the_committed_locks_are_current() -> None:
    done = subprocess.run([sys.executable, "scripts/check_locks.py"], cwd=CHECKOUT, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (PIN.replace("2.4.6", "1.0"), "does not answer 'numpy<3,>=2.4'"),
        ("numpy==2.4.6\n", "without a hash"),
        (PIN + "--index-url https://registry.example/simple\n", "names a host or a path"),
        (PIN + "torch @ file:///opt/wheels/torch.whl\n", "names a host or a path"),
        (PIN, ""),
    ],
)
def test_a_faulty_lock_is_told(text: str, wrong: str) -> None:
    assert wrong in "\n".join(faults("demo", text, [Requirement("numpy>=2.4,<3")]))
    assert bool(wrong) == bool(faults("demo", text, [Requirement("numpy>=2.4,<3")]))


def test_no_environment_is_committed() -> None:
    ignored = (CHECKOUT / ".gitignore").read_text().splitlines()
    assert {".venv", ".venv-*", ".longshore/"} <= set(ignored)
    assert Path(CHECKOUT / "requirements" / "demo.lock").exists()
