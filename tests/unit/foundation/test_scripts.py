"""The scripts a newcomer runs first say what they do, and refuse a word that they do not know at once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def script(name: str, *words: str) -> tuple[int, str]:
    done = subprocess.run([ROOT / "scripts" / name, *words], capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [("bootstrap", "agent   .venv-agent   what a box gets"), ("test", "scripts/test tests/unit/cli -x")],
)
@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_says_what_it_does_and_does_nothing(name: str, word: str, said: str) -> None:
    code, told = script(name, word)
    assert (code, said in told, "LONGSHORE_NO_APT=1" in told) == (0, True, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "which environment? demo, dev, agent, agent-gpu, agent-openvino, train or triton"),
        (("prod",), "there is no environment 'prod'"),
        (("--verbose",), "there is no option --verbose"),
        (("demo", "dev"), "one environment at a time"),
    ],
)
def test_an_environment_that_there_is_not_is_refused_with_those_there_are(words: tuple[str, ...], said: str) -> None:
    code, told = script("bootstrap", *words)
    assert (code, said in told, "scripts/bootstrap --help" in told) == (2, True, True)


@pytest.mark.parametrize("words", [("tests/nope",), ("-k", "quay", "tests/unit/nope.py::test_it")])
def test_a_test_that_there_is_not_is_told_before_anything_is_installed(words: tuple[str, ...]) -> None:
    code, told = script("test", *words)
    assert (code, f"there is no test file or folder '{words[-1]}'" in told) == (2, True)


def test_the_readme_names_every_package_that_the_demo_installs_as_root() -> None:
    """It promises an environment in the project; what goes beyond has to be said."""
    bootstrap, readme = (ROOT / "scripts/bootstrap").read_text(), (ROOT / "README.md").read_text()
    code = bootstrap[bootstrap.index("set -eu") :]
    packages = {word for line in code.splitlines() if "gir1.2" in line for word in line.replace("|| true", "").split()}
    assert packages
    assert {word for word in {*packages, "python3-venv"} if word not in " ".join(readme.split())} == set()
