"""What is done to the box: a user, a unit, and both away again. Each step may be repeated.

Programs of the system are run by name and argument; `Box` is the one thing that runs them, so that tests stand in.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import agent
from agent.adapters import files
from agent.adapters.hold import holder
from agent.berths.choice import FILE, FOLDER
from agent.config import AgentConfig
from agent.install import unit
from agent.install.unit import UNIT, USER, Service
from protos.errors import Fatal, Rejected

UNITS = Path("/etc/systemd/system")
RUNNING = Path("/run/systemd/system")  # there when systemd is this machine's init; see sd_booted(3)
_NOLOGIN = "/usr/sbin/nologin"
_SECONDS = 240.0  # a start may bring up several models


class Box:
    """This machine, as far as installing goes."""

    def __init__(self, units: Path = UNITS, running: Path = RUNNING) -> None:
        self.unit = units / UNIT
        self._running = running

    def check(self) -> None:
        """Raises Rejected where no service can be installed."""
        if not self._running.is_dir():
            raise Rejected(
                "systemd does not run here, so there is nothing to install into; start the agent by what does, or see"
                " the unit with --print-unit"
            )
        if os.geteuid() != 0:
            raise Rejected("only root may install a service; run the same with sudo, or see the unit with --print-unit")

    def check_alone(self, state_dir: Path) -> None:
        """Raises Rejected when an agent runs there that no service started."""
        running = holder(state_dir)
        if running and not self.unit.exists():
            raise Rejected(f"an agent (process {running}) runs on {state_dir} already; end it, then run the same again")

    def run(self, *command: str) -> None:
        """Raises Fatal with the first line the program said."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Fatal(f"'{' '.join(command)}' did not work ({error}); mend that and run the same again") from error
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[0]
            raise Fatal(f"'{' '.join(command)}' failed ({said}); mend that and run the same again")

    def has_user(self) -> bool:
        try:
            pwd.getpwnam(USER)
        except KeyError:
            return False
        return True

    def own(self, state_dir: Path) -> None:
        """Everything in `state_dir` is the service's from now on; no link is followed."""
        files.make_directory(state_dir, 0o700)
        account = pwd.getpwnam(USER)
        for folder, folders, names in os.walk(state_dir):
            for path in (folder, *(os.path.join(folder, name) for name in (*folders, *names))):  # noqa: PTH118 - many
                os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def service(config: AgentConfig, verb: str) -> Service:
    """The agent that runs now, as a service."""
    groups = [name for name in unit.GROUPS if _has_group(name)]
    # Not resolved: a virtual environment's python is a link, and is that environment by its name only.
    python = Path(os.path.abspath(sys.executable))  # noqa: PTH100 - resolve() would follow the link
    code = Path(agent.__file__).resolve().parent.parent
    return Service(python, code, verb, config.state_dir, config.provider, groups)


def install(box: Box, wanted: Service) -> bool:
    """Make the service, or bring it to this agent's version, and start it. Whether anything was changed.

    Raises:
        Rejected: nothing can be installed here.
        Fatal: a program of the system failed; the same again goes on from there.
    """
    box.check()
    text = unit.text(wanted)
    if not box.has_user():
        account = ("--home-dir", str(wanted.state_dir), "--no-create-home", "--shell", _NOLOGIN)
        box.run("useradd", "--system", "--user-group", *account, USER)
    launched = wanted.state_dir / FOLDER / FILE
    launched.unlink(missing_ok=True)  # whoever installs wants what is installed now, whatever was updated to
    box.own(wanted.state_dir)
    changed = not box.unit.exists() or box.unit.read_text() != text
    if changed:
        files.write_atomic(box.unit, text.encode())
        box.run("systemctl", "daemon-reload")
    box.run("systemctl", "enable", UNIT)
    box.run("systemctl", "restart", UNIT)  # an upgrade in place changes code, which no unit tells
    return changed


def uninstall(box: Box, state_dir: Path, *, keep_state: bool) -> list[str]:
    """Take away what `install` made; what that was. Nothing there is no error. Raises Rejected, Fatal."""
    if os.geteuid() != 0:
        raise Rejected("only root may remove a service; run the same with sudo")
    gone = []
    if box.unit.exists():
        box.run("systemctl", "disable", "--now", UNIT)
        box.unit.unlink()
        box.run("systemctl", "daemon-reload")
        gone.append(str(box.unit))
    if not keep_state and state_dir.exists():
        _check_state(state_dir)
        shutil.rmtree(state_dir)
        gone.append(str(state_dir))
    if box.has_user() and not keep_state:  # its number owns the state: kept with it
        box.run("userdel", USER)
        gone.append(f"user {USER}")
    return gone


def _check_state(state_dir: Path) -> None:
    """A folder that is no agent's is not removed, whoever named it. Raises Rejected."""
    known = {"identity", "state.db", "outbox.db", "outbox.refused", "blobs", "lock"}
    there = {path.name for path in state_dir.iterdir()}
    if there and not there & known:
        raise Rejected(f"{state_dir} does not look like an agent's state; remove it yourself if it is")


def _has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True
