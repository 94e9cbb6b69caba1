"""Completion: what a shell gets when a user presses Tab, and that it never waits or complains."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from controlplane.cli import completing, contexts
from tests.sim.command import Run


@pytest.fixture
def tab(longshore: Run, quay: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Press Tab after these words, as bash does; the answers, one a line."""

    monkeypatch.setattr(completing, "PATIENCE_SECONDS", 30)  # a busy machine

    def press(*words: str) -> object:
        monkeypatch.setenv("_LONGSHORE_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(("longshore", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        return longshore()

    return press  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["expl"], ["explain"]),
        (["get", "mod"], ["models"]),
        (["get", "nodes", "qu"], ["quay-1"]),
        (["describe", "node/q"], ["node/quay-1"]),
        (["logs", "q"], ["quay-1"]),
        (["get", "nodes", "--sel"], ["--selector"]),
        (["get", "boats", "x"], []),
        (["support-bundle", "q"], ["quay-1"]),
        (["node", "pause", "q"], ["quay-1"]),
        (["node", "label", "q"], ["quay-1"]),
        (["token", "create", "q"], ["quay-1"]),
        (["get", "detections", "--node", "q"], ["quay-1"]),
        (["explain", "sett"], ["settings"]),
        (["apitoken", "create", "laptop", "--person", "a"], ["admin"]),
        (["--context", "x"], []),
    ],
)
def test_commands_kinds_names_and_options_are_offered(tab: Run, words: list[str], offered: list[str]) -> None:
    answer = tab(*words)
    assert [line.partition(",")[2] for line in answer.out.split()] == offered
    assert answer.err == ""


def test_without_a_control_plane_there_are_no_names_and_no_error(tab: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_URL", "http://127.0.0.1:1")
    answer = tab("get", "nodes", "q")
    assert (answer.out.strip(), answer.err) == ("", "")


def test_remembered_control_planes_are_offered(tab: Run, tmp_path: Path) -> None:
    for name in ("harbour", "lab"):
        contexts.remember(tmp_path / "home/.config/longshore/config.yaml", contexts.Context("http://h", name=name))
    assert [tab(*words, "ha").out for words in (["context", "use"], ["logout"], ["--context"])] == [
        "plain,harbour\n"
    ] * 3


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_calls_us(run: Run, shell: str) -> None:
    assert f"_LONGSHORE_COMPLETE={shell}_complete" in run("completion", shell).out


def test_bash_takes_the_script(run: Run) -> None:
    script = run("completion", "bash").out
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
