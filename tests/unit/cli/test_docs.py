"""docs/cli.md and docs/objects.md say what is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from controlplane.cli.exits import Exit
from controlplane.cli.kinds import KINDS
from controlplane.cli.main import COMMANDS
from controlplane.fleet import changes, specs
from controlplane.people.schemas import spec as person
from controlplane.settings.domain import spec as settings

DOCS = Path(__file__).parents[3] / "docs"
CLI = (DOCS / "cli.md").read_text()
OBJECTS = (DOCS / "objects.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", OBJECTS, re.DOTALL)
READERS = {
    "Node": specs.node_spec,
    "Camera": specs.camera_spec,
    "Deployment": specs.deployment_spec,
    "Settings": settings,
    "Person": person,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_table(command: str) -> None:
    table = CLI.partition("## Exit codes")[0]
    assert f"`{command}`" in table


def test_every_exit_code_is_documented() -> None:
    table = CLI.partition("## Exit codes")[2].partition("\n## ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == sorted(Exit)


def test_commands_in_examples_exist() -> None:
    assert {line.split()[2] for line in re.findall(r"^\$ longshore .*$", CLI, re.MULTILINE)} <= set(COMMANDS)


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_object_in_the_documentation_is_accepted(text: str) -> None:
    document = yaml.safe_load(text)
    wish = changes.written(document, document["kind"], document["metadata"]["name"])
    READERS[document["kind"]](wish.spec)  # type: ignore[operator]  # functions of one shape


def test_every_kind_is_documented() -> None:
    assert len(EXAMPLES) == 6
    assert all(f"| {kind.name} |" in OBJECTS and f"/api/v1/{kind.plural}" in OBJECTS for kind in KINDS)
