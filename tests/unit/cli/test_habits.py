"""What somebody who comes from kubectl types is answered with the command that does it here."""

from __future__ import annotations

import re

import pytest

from controlplane.cli import habits, kinds
from controlplane.cli.main import COMMANDS
from protos.errors import Rejected
from tests.sim.command import Run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("create deployment x", "Instead: 'longshore apply -f FILE'"),
        ("rollout undo deployment/x", "'longshore edit deployment NAME' (the one before, to go back)"),
        ("scale deployment x", "a Deployment runs on every box that its nodeSelector chooses"),
        ("drain quay-1", "'longshore node pause NAME'"),
        ("config view", "'longshore context list'"),
        ("get nodes -A", "There are no namespaces; labels choose: -l site=harbour."),
        ("get nodes -n kube-system", "There are no namespaces"),
        ("apply x.yaml b.yaml", "longshore apply -f x.yaml -f b.yaml"),
        ("apply", "longshore apply -f FILE"),
        ("aply", "Did you mean 'apply'?"),
    ],
)
def test_a_habit_is_answered_with_what_to_type_here(run: Run, words: str, said: str) -> None:
    told = run(*words.split())
    assert (told.code, said in " ".join(told.err.split())) == (2, True), told.err


def test_lines_of_a_log_are_no_namespace(run: Run) -> None:
    assert habits.option("-n", "longshore logs") == ""


@pytest.mark.parametrize(("word", "said"), [("pods", "longshore get nodes"), ("events", "longshore get detections")])
def test_a_kind_of_another_tool_is_answered_with_ours(word: str, said: str) -> None:
    with pytest.raises(Rejected, match=said):
        kinds.named(word)


def test_no_habit_hides_a_command_or_a_kind_of_ours() -> None:
    assert not [word for word in COMMANDS if habits.command(word)]
    words = [word for kind in kinds.KINDS for word in (kind.name.lower(), kind.plural, *kind.aliases)]
    assert not [word for word in words if habits.kind(word)]


def test_every_command_that_is_named_is_there() -> None:
    told = [*habits._COMMANDS.values(), *habits._KINDS.values(), *habits._OPTIONS.values()]
    named = {word for text in told for word in re.findall(r"'longshore ([a-z-]+)", text)}
    assert named <= COMMANDS.keys()


def test_the_version_is_told_as_everywhere(run: Run) -> None:
    assert run("--version").out.startswith("longshore ")
