"""Installing and removing: each step repeatable, nothing of anybody else's touched, one sentence where it cannot be."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent import launcher, main
from agent.adapters.hold import hold
from agent.berths.choice import Choice
from agent.config import AgentConfig
from agent.install import box, unit
from agent.install.box import Box, install, uninstall
from agent.install.service import Installing
from agent.install.unit import UNIT, Service
from protos.errors import Fatal, Rejected

TOKEN = "LS1." + "a" * 64 + ".abcdefgh." + "S" * 43


class SimBox(Box):
    """A machine whose programs are remembered, not run; its service user is the one who runs the tests."""

    def __init__(self, folder: Path) -> None:
        (folder / "units").mkdir(exist_ok=True)
        (folder / "systemd").mkdir(exist_ok=True)
        super().__init__(folder / "units", folder / "systemd")
        self.ran: list[str] = []
        self.user = False
        self.failing = ""

    def run(self, *command: str) -> None:
        self.ran.append(" ".join(command))
        if self.failing and self.failing in self.ran[-1]:
            raise Fatal("as the test wishes")
        self.user = self.user or command[0] == "useradd"
        self.user = self.user and command[0] != "userdel"

    def has_user(self) -> bool:
        return self.user


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimBox:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", lambda _: pwd.getpwuid(os.getuid()))
    monkeypatch.setattr(unit, "HIDDEN", ())
    return SimBox(tmp_path)


@pytest.fixture
def wanted(tmp_path: Path) -> Service:
    return Service(Path("/usr/bin/python3"), Path("/opt/longshore"), state_dir=tmp_path / "state")


def test_a_first_install_makes_user_state_and_unit_and_starts_it(machine: SimBox, wanted: Service) -> None:
    assert install(machine, wanted)
    assert [line.split()[:2] for line in machine.ran] == [
        ["useradd", "--system"],
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable"],
        ["systemctl", "restart"],
    ]
    assert machine.unit.read_text() == unit.text(wanted)
    assert wanted.state_dir.stat().st_mode & 0o777 == 0o700


def test_the_same_again_changes_nothing_and_restarts_into_the_new_code(machine: SimBox, wanted: Service) -> None:
    install(machine, wanted)
    machine.ran.clear()
    assert not install(machine, wanted)
    assert machine.ran == [f"systemctl enable {UNIT}", f"systemctl restart {UNIT}"]


def test_an_install_that_failed_goes_on_where_it_was(machine: SimBox, wanted: Service) -> None:
    machine.failing = "restart"
    with pytest.raises(Fatal):
        install(machine, wanted)
    machine.failing = ""
    install(machine, wanted)
    assert machine.ran[-1] == f"systemctl restart {UNIT}"


def test_uninstalling_takes_all_of_it_away_and_twice_is_no_error(machine: SimBox, wanted: Service) -> None:
    install(machine, wanted)
    (wanted.state_dir / "identity").mkdir()
    gone = uninstall(machine, wanted.state_dir, keep_state=False)
    assert gone == [str(machine.unit), str(wanted.state_dir), f"user {unit.USER}"]
    assert not machine.unit.exists()
    assert not wanted.state_dir.exists()
    assert uninstall(machine, wanted.state_dir, keep_state=False) == []


def test_state_that_is_kept_keeps_its_owner(machine: SimBox, wanted: Service) -> None:
    install(machine, wanted)
    assert uninstall(machine, wanted.state_dir, keep_state=True) == [str(machine.unit)]
    assert wanted.state_dir.exists()
    assert machine.user


def test_a_folder_that_is_no_agents_is_not_removed(machine: SimBox, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(Rejected, match="does not look like an agent's state"):
        uninstall(machine, tmp_path / "photos", keep_state=False)
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_without_systemd_or_root_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Rejected, match="systemd does not run here"):
        Box(tmp_path, tmp_path / "absent").check()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Rejected, match="run the same with sudo"):
        Box(tmp_path, tmp_path).check()
    with pytest.raises(Rejected, match="only root may remove"):
        uninstall(Box(tmp_path, tmp_path), tmp_path, keep_state=False)


def test_an_agent_started_by_hand_is_told_first(machine: SimBox, tmp_path: Path) -> None:
    with hold(tmp_path / "state"), pytest.raises(Rejected, match=r"runs on .* already; end it"):
        Installing(AgentConfig(state_dir=tmp_path / "state"), "edge", machine).check()


def test_a_program_that_fails_is_told_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"'sh -c echo no such unit >&2; exit 5' failed \(no such unit\)"):
        Box(tmp_path, tmp_path).run("sh", "-c", "echo no such unit >&2; exit 5")
    with pytest.raises(Fatal, match="did not work"):
        Box(tmp_path, tmp_path).run("/no/such/program")


def test_no_token_is_spent_where_nothing_can_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "RUNNING", tmp_path / "absent")
    monkeypatch.setattr(Box.__init__, "__defaults__", (tmp_path, tmp_path / "absent"))
    asked = ["join", "https://127.0.0.1:1", "--token", TOKEN, "--install", "--state-dir", str(tmp_path / "state")]
    refused = CliRunner().invoke(main.cli, asked)
    assert isinstance(refused.exception, Rejected)
    assert "systemd does not run here" in str(refused.exception)
    assert not (tmp_path / "state").exists()


def test_print_unit_needs_no_token_and_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "HIDDEN", ())
    shown = CliRunner().invoke(main.cli, ["join", "https://x", "--print-unit", "--state-dir", str(tmp_path / "state")])
    assert shown.exit_code == 0
    assert f"ReadWritePaths={tmp_path / 'state'}" in shown.output
    assert not (tmp_path / "state").exists()
    assert CliRunner().invoke(main.cli, ["join", "https://x"]).exit_code == 2


def test_uninstall_asks_before_an_identity_is_lost(tmp_path: Path) -> None:
    (tmp_path / "identity").mkdir()
    assert CliRunner().invoke(main.cli, ["uninstall", "--state-dir", str(tmp_path)], input="n\n").exit_code == 1
    assert (tmp_path / "identity").exists()


def test_whoever_installs_gets_what_he_installs_whatever_the_agent_updated_itself_to(
    machine: SimBox, wanted: Service
) -> None:
    install(machine, wanted)
    (wanted.state_dir / "berths").mkdir()
    launcher.write(wanted.state_dir / "berths", Choice("a"))
    install(machine, wanted)
    assert launcher.read(wanted.state_dir / "berths") == Choice()
