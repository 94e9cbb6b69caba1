"""docs/threat-model.md names what is: every file, test and mutant in it exists. Every mutant is in it, in
docs/telemetry.md or in docs/frames.md."""

from __future__ import annotations

import re
from pathlib import Path

from tests.mutants.table import MUTANTS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "threat-model.md").read_text()
TESTS = re.findall(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)", PAGE)
FILES = re.findall(r"`((?:agent|controlplane|sandbox|models|protos)/[\w/]+\.py)`", PAGE)
MUTANTS_NAMED = {
    name
    for line in PAGE.splitlines()
    if line.startswith("| ") and line.count(" | ") >= 4
    for name in re.findall(r"`([a-z][a-z-]+)`", line.split(" | ")[3])
}
TELEMETRY = (ROOT / "docs" / "telemetry.md").read_text().partition("### What holds the promise")[2].partition("\n#")[0]
MUTANTS_OF_TELEMETRY = set(re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", TELEMETRY))
FRAMES = (ROOT / "docs" / "frames.md").read_text()
MUTANTS_OF_DECISION = {
    *re.findall(r"`(lane(?:-[a-z]+)+)`", FRAMES.partition("### What a lane never does")[2].partition("\n#")[0]),
    *re.findall(
        r"`(rates-[a-z]+)`", FRAMES.partition("## When more come than all of that answers")[2].partition("\n#")[0]
    ),
    *re.findall(
        r"^\| `([a-z-]+)` \|", FRAMES.partition("### What holds of what is told and of what stays")[2], re.MULTILINE
    ),
}


def test_every_test_it_names_is_where_it_says() -> None:
    assert len(TESTS) > 60
    missing = [name for name, path in TESTS if f"def {name}(" not in (ROOT / path).read_text()]
    assert missing == []


def test_every_file_it_names_is_there() -> None:
    assert len(FILES) > 30
    assert [name for name in FILES if not (ROOT / name).is_file()] == []
    links = re.findall(r"\]\(([^)#:]+)[^)]*\)", PAGE)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_it_names_every_mutant_and_none_that_there_is_not() -> None:
    assert {mutant.name for mutant in MUTANTS} == MUTANTS_NAMED | MUTANTS_OF_TELEMETRY | MUTANTS_OF_DECISION
    assert not MUTANTS_NAMED & MUTANTS_OF_TELEMETRY
    assert not MUTANTS_OF_DECISION & (MUTANTS_NAMED | MUTANTS_OF_TELEMETRY)


def test_every_row_of_a_defence_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and line.count(" | ") == 4]
    assert len(rows) > 35
    assert [row for row in rows if "](../tests/" not in row and not row.startswith(("| Attack", "|---"))] == []


def test_every_row_is_of_a_table() -> None:
    """A row after an empty line has no head, and is shown as text."""
    rows = [part.splitlines() for part in PAGE.split("\n\n") if part.startswith("|")]
    assert [part[0] for part in rows if not part[1].startswith("|---")] == []


def test_readers_find_it() -> None:
    for page in ("README.md", "docs/untrusted-models.md", "docs/operations.md", "docs/agent.md"):
        assert "threat-model.md" in (ROOT / page).read_text(), page
