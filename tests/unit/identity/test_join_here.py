"""Joining from the command line: a box that cannot keep its identity does not spend its token; what the installer reads
afterwards is what has to be done.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent import main
from agent.adapters import files
from agent.adapters.hold import hold, holder
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.x509 import X509Keys
from agent.config import AgentConfig
from agent.errors import DiskFull
from agent.identity.store import Membership
from agent.joining import join, join_once, wish
from agent.running import run_node
from protos.errors import Fatal, InvalidToken, LongshoreError, Rejected
from protos.ids import NodeId
from tests.sim.authority import SimAuthority
from tests.sim.front_door import SimFrontDoor
from tests.sim.https import SimHttps

TOKEN = "LS1." + "a" * 64 + ".abcdefgh." + "S" * 43
WISH = wish(TOKEN, "box", {}, "")


@pytest.fixture
def door() -> SimFrontDoor:
    return SimFrontDoor(SimAuthority(now=time.time()))


@pytest.fixture
async def url(door: SimFrontDoor, tmp_path: Path) -> AsyncIterator[str]:
    tls = door.authority.server_context(tmp_path, door.authority.server())
    async with SimHttps(door, tls).running() as server:
        yield server.url


async def joining(url: str, door: SimFrontDoor, state: Path) -> str:
    """What `longshore-agent join` prints."""
    command = ["join", url, "--token", str(door.token()), "--state-dir", str(state)]
    ended = await asyncio.to_thread(CliRunner().invoke, main.cli, command, catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return ended.output


def member(state: Path, role: str) -> None:
    """A box that joined in this role."""
    authority, keys = SimAuthority(now=time.time()), X509Keys()
    store, key = IdentityDirectory(state, keys), keys.new_key()
    store.stage_key(key)
    known = Membership(NodeId("quay-1"), "https://127.0.0.1:1", "127.0.0.1:1", role)
    store.commit(known, authority.device(keys.request(key, "quay-1"), "quay-1"), authority.pem)


def test_a_full_disk_spends_no_token_and_what_to_do_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "touch", full)
    told = f"no space left for {tmp_path / 'identity'}; free some and join again, the token is still good"
    with pytest.raises(DiskFull, match=f"^{re.escape(told)}$"):
        join(AgentConfig(state_dir=tmp_path), "https://127.0.0.1:1", WISH)


def test_a_state_directory_that_is_a_file_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    in_the_way = tmp_path / "state"
    in_the_way.write_text("no directory")
    with pytest.raises(LongshoreError, match="state"):
        join(AgentConfig(state_dir=in_the_way), "https://127.0.0.1:1", WISH)


def test_a_directory_that_may_not_be_written_names_the_flag() -> None:
    nobody_may = Path("/sys/longshore-agent")
    with pytest.raises(Fatal, match="--state-dir"):
        join(AgentConfig(state_dir=nobody_may), "https://127.0.0.1:1", WISH)


def test_a_writable_directory_is_left_empty(tmp_path: Path) -> None:
    files.check_writable(tmp_path / "identity")
    assert list((tmp_path / "identity").iterdir()) == []


@pytest.mark.parametrize(("role", "command"), [("edge", "longshore-agent run"), ("cloud", "longshore-agent serve")])
async def test_the_token_decides_which_command_starts_the_box(
    door: SimFrontDoor, url: str, tmp_path: Path, role: str, command: str
) -> None:
    door.role = role
    assert (await joining(url, door, tmp_path / "state")).endswith(f"as quay-1; start it with: {command}\n")


async def test_joining_beside_a_running_agent_says_to_restart_it(door: SimFrontDoor, url: str, tmp_path: Path) -> None:
    with hold(tmp_path / "state"):
        said = await joining(url, door, tmp_path / "state")
    assert said.endswith(f"(process {os.getpid()}) still uses the old certificate: restart it\n")


def test_nobody_holds_a_directory_where_no_agent_runs(tmp_path: Path) -> None:
    assert holder(tmp_path) == ""
    with hold(tmp_path):
        assert holder(tmp_path) == str(os.getpid())
    assert holder(tmp_path) == ""


@pytest.mark.parametrize(
    ("joined", "started", "sentence"),
    [
        ("cloud", "edge", "start it with 'longshore-agent serve'"),
        ("edge", "cloud", "start it with 'longshore-agent run'"),
    ],
)
def test_a_box_is_not_started_in_another_role_than_it_joined_in(
    tmp_path: Path, joined: str, started: str, sentence: str
) -> None:
    member(tmp_path, joined)
    with pytest.raises(Rejected, match=sentence):
        run_node(AgentConfig(state_dir=tmp_path, role=started))


async def test_a_token_of_the_other_role_is_not_spent_by_run(door: SimFrontDoor, url: str, tmp_path: Path) -> None:
    door.role = "cloud"
    config = AgentConfig(state_dir=tmp_path / "state", role="edge")
    with pytest.raises(InvalidToken, match="for role cloud"):
        await asyncio.to_thread(join_once, config, url, lambda: str(door.token()), "")
    assert door.spent == {}


def test_an_unknown_log_level_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["longshore-agent", "run", "--log-level", "foo"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n"), "DEBUG, INFO" in said) == (1, 1, True)


async def test_a_token_in_a_file_lets_the_box_in_and_is_not_read_again(
    door: SimFrontDoor, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a cluster the file is the node's own, or a Secret; it may be gone once the box has joined."""
    monkeypatch.setattr("agent.running.run_node", lambda config: None)
    token = tmp_path / "join-token"
    token.write_text(f"{door.token()}\n")
    command = ["run", "--join", url, "--token-file", str(token), "--state-dir", str(tmp_path / "state")]
    for _ in range(2):
        ended = await asyncio.to_thread(CliRunner().invoke, main.cli, command, catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        token.unlink(missing_ok=True)
    assert IdentityDirectory(tmp_path / "state", X509Keys()).joined


def test_a_token_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    command = ["run", "--join", "https://127.0.0.1:1", "--token-file", str(tmp_path / "none")]
    with pytest.raises(Rejected, match=r"No such file.*longshore token create"):
        CliRunner().invoke(
            main.cli, [*command, "--state-dir", str(tmp_path)], catch_exceptions=False, standalone_mode=False
        )
