"""`longshore edit`: an object through an editor and back; what was typed is never lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from controlplane.cli import editing
from tests.sim.command import Run

CAMERA = """
apiVersion: longshore/v1
kind: Camera
metadata: {name: gate, labels: {view: in}}
spec: {node: quay-1, source: "rtsp://admin:hunter2@cam.example/live", rate: 5}
"""


@pytest.fixture
def gate(longshore: Run, tmp_path: Path) -> Run:
    """A camera that is edited below."""
    (tmp_path / "gate.yaml").write_text(CAMERA)
    assert longshore("apply", "-f", str(tmp_path / "gate.yaml")).code == 0
    return longshore


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that runs the next line of its script, a `sed` expression, at each start; `seen` keeps the texts."""
    program = tmp_path / "editor"
    program.write_text(
        "#!/bin/sh\n"
        f'cat "$1" >>{tmp_path}/seen\n'
        f'sed -i "$(head -n1 {tmp_path}/script)" "$1"\n'
        f"sed -i 1d {tmp_path}/script\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(program))
    for name in ("VISUAL", "LONGSHORE_EDITOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def plays(folder: Path, *lines: str) -> None:
    (folder / "script").write_text("".join(f"{line}\n" for line in lines))


def spec(longshore: Run) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(longshore("get", "camera", "gate", "-o", "yaml").out)["spec"]
    return found


def test_what_was_saved_is_written(gate: Run, editor: Path) -> None:
    plays(editor, "s/rate: 5.0/rate: 7/")
    assert gate("edit", "camera", "gate").out == "camera/gate configured\n"
    assert spec(gate)["rate"] == 7
    seen = (editor / "seen").read_text()
    assert "status:" not in seen
    assert "resourceVersion" in seen


def test_who_may_not_write_is_refused_before_the_editor_opens(gate: Run, editor: Path) -> None:
    token = gate("apitoken", "create", "ci", "--role", "viewer").out.strip()
    refused = gate("--token", token, "edit", "camera", "gate")
    assert (refused.code, "ci is a viewer here, and this needs an operator" in refused.err) == (1, True)
    assert not (editor / "seen").exists()


def test_an_operator_may_not_edit_settings(longshore: Run, editor: Path) -> None:
    token = longshore("apitoken", "create", "ci", "--role", "operator").out.strip()
    assert "this needs an admin" in longshore("--token", token, "edit", "settings").err
    assert not (editor / "seen").exists()


def test_saved_as_it_was_nothing_changes(gate: Run, editor: Path) -> None:
    plays(editor, "s/^#.*/# looked at it/")
    assert gate("edit", "camera/gate").out == "camera/gate unchanged\n"


def test_emptied_nothing_changes(gate: Run, editor: Path) -> None:
    plays(editor, "d")
    assert gate("edit", "camera/gate").out == "camera/gate unchanged\n"
    assert spec(gate)["rate"] == 5


def test_what_is_refused_opens_again_with_the_reason_and_can_be_mended(gate: Run, editor: Path) -> None:
    plays(editor, "s/rate: 5.0/rate: -3/", "s/rate: -3/rate: 3/")
    edited = gate("edit", "camera", "gate")
    assert (edited.code, edited.out) == (0, "camera/gate configured\n")
    assert "refused: spec.rate must be a number from 0 to" in edited.err
    assert re.search("^# refused: spec.rate must be", (editor / "seen").read_text(), re.MULTILINE)


def test_saved_again_as_it_was_refused_the_text_stays_in_a_file_that_is_named(gate: Run, editor: Path) -> None:
    plays(editor, "s/rate: 5.0/rate: -3/", "")
    given_up = gate("edit", "camera", "gate")
    kept = re.search(r"what you wrote is in (\S+)", given_up.err)
    assert (given_up.code, kept is not None) == (1, True)
    assert kept is not None
    path = Path(kept[1])
    assert "rate: -3" in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    path.unlink()


def test_somebody_elses_change_meanwhile_is_not_written_over_until_the_user_says_so(
    gate: Run, editor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The editor is open for minutes; theirs comes between our read and our write."""
    real = editing.opened
    opened = iter([True, False])

    def slowly(path: Path) -> str:
        if next(opened):
            (editor / "gate.yaml").write_text(CAMERA.replace("rate: 5", "rate: 6"))
            assert gate("apply", "-f", str(editor / "gate.yaml")).code == 0
        return real(path)

    monkeypatch.setattr(editing, "opened", slowly)
    plays(editor, "s/rate: 5.0/rate: 9/", "/resourceVersion/d")
    edited = gate("edit", "camera", "gate")
    assert (edited.code, "refused:" in edited.err) == (0, True)
    assert "# refused: remove the line resourceVersion" in (editor / "seen").read_text()
    assert spec(gate)["rate"] == 9


def test_an_editor_that_is_not_there_is_one_sentence(gate: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "no-such-editor")
    refused = gate("edit", "camera", "gate")
    assert (refused.code, "set EDITOR" in refused.err) == (1, True)


def test_a_release_never_changes(gate: Run) -> None:
    assert "is made by 'longshore push' and cannot be edited" in gate("edit", "release", "harbour-1-0-0").err


def test_the_name_cannot_be_edited(gate: Run, editor: Path) -> None:
    plays(editor, "s/name: gate/name: door/", "")
    refused = gate("edit", "camera", "gate")
    assert (refused.code, "kind and name cannot be edited" in refused.err) == (1, True)
