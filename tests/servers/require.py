"""What to do when a server is not installed: skip with the package's name, or fail under LONGSHORE_TESTS_STRICT."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from agent.inference import precision


def missing(what: str, package: str) -> NoReturn:
    """A Debian package is not there."""
    unmet(f"{what} is not installed; install it with: apt-get install {package}")


def unmet(reason: str) -> NoReturn:
    """Skip the test, or fail it where `make test` promised that everything is there."""
    if os.environ.get("LONGSHORE_TESTS_STRICT") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def program(name: str, package: str, *folders: Path) -> str:
    """The path of an installed program; `folders` are looked through before PATH and /usr/sbin.

    Servers often lie outside a user's PATH on Debian.
    """
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"])
    found = shutil.which(name, path=path)
    return found or missing(name, package)


def dies_with_us(command: list[str]) -> list[str]:
    """`command`, killed by the kernel when the test run ends, however it ends."""
    return [program("setpriv", "util-linux"), "--pdeathsig", "KILL", "--", *command]


def openvino() -> None:
    """OpenVINO is in the environment of `scripts/bootstrap dev`."""
    if importlib.util.find_spec("openvino") is None:
        unmet("OpenVINO is not installed; install it with: scripts/bootstrap dev")


def bf16() -> None:
    """OpenVINO is there, and a processor that computes in bf16."""
    openvino()
    if precision.trouble("openvino-bf16", precision.installed(), precision.abilities()):
        pytest.skip("this processor does not compute in bf16; one with AVX512_BF16, AMX or Arm's BF16 does")
