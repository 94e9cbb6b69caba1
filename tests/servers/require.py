"""What to do when a server is not installed: skip with the package's name, or fail under LONGSHORE_TESTS_STRICT."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


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
