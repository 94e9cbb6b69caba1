"""The command as a whole: help, exit codes, errors, signing in."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from starlette.responses import PlainTextResponse

from controlplane.adapters.tls import ServerCertificate
from controlplane.cli.kinds import KINDS
from controlplane.cli.main import COMMANDS, SECTIONS, command
from controlplane.web import create_app
from tests.sim.command import Run, Serving
from tests.sim.control_plane import SimControlPlane


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.code == 0
    assert f"longshore {name}" in result.out.split("Examples:")[1]


def _subcommands() -> list[tuple[str, str]]:
    groups = [(name, command.get_command(click.Context(command), name)) for name in COMMANDS]
    return [(name, each) for name, group in groups if isinstance(group, click.Group) for each in group.commands]


@pytest.mark.parametrize(("name", "subcommand"), _subcommands())
def test_every_subcommand_has_help_with_examples(run: Run, name: str, subcommand: str) -> None:
    result = run(name, subcommand, "--help")
    assert result.code == 0
    assert f"\n    longshore {name} {subcommand}" in result.out.split("Examples:")[1]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("camara", "did you mean cameras?"),
        ("nodess", "did you mean nodes?"),
        ("boats", "there are nodes, cameras, deployments, models, releases"),
        ("tokens", "see 'longshore token --help'"),
        ("detections", "see 'longshore get detections --help'"),
    ],
)
def test_a_kind_that_is_none_is_answered_with_the_nearest(run: Run, word: str, said: str) -> None:
    refused = run("--url", "http://127.0.0.1:1", "describe", word, "x")
    assert (refused.code, said in refused.err) == (1, True)


def test_what_answers_in_another_language_is_said_to_be_no_control_plane(
    run: Run, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Serving(PlainTextResponse("<html>"), free_port):
        refused = run("--url", f"http://127.0.0.1:{free_port}", "get", "nodes")
    assert (refused.code, "is no control plane" in refused.err) == (1, True)


def test_help_lists_every_command(run: Run) -> None:
    shown = run("--help").out
    assert all(f"  {name} " in shown for name in COMMANDS)
    assert run().code in {0, 2}


def test_help_has_a_section_for_each_thing_one_wants_and_names_every_kind(run: Run) -> None:
    shown = run("--help").out
    assert all(f"\n{title}:\n" in shown for title in SECTIONS)
    listed = shown.partition("Objects are ")[2].partition("(")[0]
    assert all(kind.name in listed for kind in KINDS)


@pytest.mark.parametrize(
    "words", [("get", "nodes"), ("get", "nodes", "-o", "json"), ("get", "detections", "-o", "csv")]
)
def test_a_full_disk_behind_the_output_is_no_bug(
    url: str, house: SimControlPlane, quay: str, tmp_path: Path, words: tuple[str, ...]
) -> None:
    environment = {"LONGSHORE_URL": url, "LONGSHORE_TOKEN": house.token, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    with Path("/dev/full").open("w") as full:
        ours = [sys.executable, "-m", "controlplane.cli.main", *words]
        done = subprocess.run(ours, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "error: cannot write (No space left on device); see that there is room where this goes\n",
    )


@pytest.mark.parametrize("token", ["lsk_a b", "lsk_a\nX-Evil: 1", "lsk_é"])
def test_what_no_header_can_carry_is_no_token(longshore: Run, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("LONGSHORE_TOKEN", token)
    refused = longshore("get", "nodes")
    assert (refused.code, "that no token has; copy it once more" in refused.err) == (1, True)


@pytest.mark.parametrize("name", ["node/", "node/a/b", "node/..", "node/../../x"])
def test_a_name_that_leads_to_another_address_is_none(longshore: Run, name: str) -> None:
    refused = longshore("get", name)
    assert (refused.code, "cannot be the name of an object; 'longshore get nodes' lists them" in refused.err) == (
        1,
        True,
    )


def test_plain_http_where_https_is_spoken_and_the_other_way_round_says_so(
    run: Run, house: SimControlPlane, url: str, tmp_path: Path, free_port: int
) -> None:
    house.clock.jump(time.time() - house.clock.unix())
    refused = run("--url", url.replace("http:", "https:"), "get", "nodes")
    assert (refused.code, "does not speak https; if it is a plain address, write http://" in refused.err) == (1, True)


def test_help_imports_nothing_it_does_not_need() -> None:
    program = (
        "import sys; from controlplane.cli.main import main; main(['--help']);"
        "heavy = {'httpx', 'yaml', 'rich', 'fastapi', 'sqlalchemy', 'grpc', 'cryptography', 'onnx'} & set(sys.modules);"
        "print('heavy:', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy: []\n")


def test_exit_codes_tell_refused_usage_retry_and_not_found_apart(
    longshore: Run, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    assert longshore("get", "nodes").code == 0
    assert longshore("get", "boats").code == 1
    assert longshore("get", "nodes", "--wrong").code == 2
    assert longshore("get", "node", "nobody").code == 4
    monkeypatch.setenv("LONGSHORE_TOKEN", "lsk_wrong")
    refused = longshore("get", "nodes")
    assert (refused.code, refused.err.count("\n")) == (1, 1)


def test_a_control_plane_that_is_away_is_one_sentence_and_exit_code_three(
    run: Run, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setenv("LONGSHORE_URL", f"http://127.0.0.1:{free_port}")
    result = run("get", "nodes")
    assert result.code == 3
    assert result.err.startswith(f"error: nobody answers at http://127.0.0.1:{free_port}; is the control plane running")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("url", ["fleet.example", "ftp://fleet.example", "http://"])
def test_an_address_that_is_none_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("LONGSHORE_URL", url)
    result = run("get", "nodes")
    assert (result.code, "is no address of a control plane" in result.err) == (1, True)


def test_a_folder_that_was_removed_is_no_hindrance(
    longshore: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert longshore("get", "nodes").code == 0


def test_a_mistyped_command_is_answered_with_the_nearest(run: Run) -> None:
    result = run("gte")
    assert (result.code, "Did you mean 'get'?" in result.err) == (2, True)


def test_a_bug_is_a_sentence_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controlplane.cli.session.client", lambda: 1 / 0)
    result = run("get", "nodes")
    assert result.code == 1
    assert result.err.startswith("error: this is a bug in longshore (ZeroDivisionError")
    assert "Traceback" not in result.err


def test_login_checks_the_token_and_remembers_it(
    run: Run, url: str, house: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(house.token + "\n"))
    done = run("login", url)
    assert done.code == 0
    assert house.token not in done.out + done.err
    assert run("get", "nodes").code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("lsk_wrong\n"))
    assert run("login", url).code == 1
    assert run("get", "nodes").code == 0


def test_open_prints_a_link_that_signs_in_once(longshore: Run, house: SimControlPlane) -> None:
    link = longshore("open", "--print").out.strip()
    code = link.partition("?code=")[2]
    statuses = [house.stranger.post("/signin", data={"code": code}).status_code for _ in range(2)]
    assert statuses[0] == 303
    assert statuses[1] >= 400


def test_open_leads_to_the_plain_page_on_this_machine(
    run: Run, house: SimControlPlane, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over https no browser would know the CA."""
    house.clock.jump(time.time() - house.clock.unix())
    certificate = ServerCertificate(house.authority, ("127.0.0.1",), house.clock, tmp_path)
    (tmp_path / "ca.pem").write_text(house.authority.ca_pem)
    with Serving(create_app(house.services), free_port, certificate.context):
        options = ("--url", f"https://127.0.0.1:{free_port}", "--ca", str(tmp_path / "ca.pem"), "--token", house.token)
        shown = run(*options, "open", "--print")
    assert shown.out.startswith(f"http://127.0.0.1:{house.config.http_port}/signin?code=")


def test_version_says_ours_even_when_nobody_answers(run: Run) -> None:
    assert run("version", "--client").out.startswith("longshore ")
    shown = run("version")
    assert (shown.code, "control plane  no control plane is named" in shown.out) == (0, True)
    document = json.loads(run("version", "-o", "json").out)
    assert (document["controlPlane"], "no control plane is named" in document["error"]) == (None, True)


def test_logs_of_a_silent_box_say_where_to_look(longshore: Run, quay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controlplane.cli.commands.logs._WAIT_SECONDS", 0)
    result = longshore("logs", quay)
    assert (result.code, "longshore describe node quay-1" in result.err) == (3, True)


def test_output_of_a_command_may_be_cut_off(url: str, house: SimControlPlane, quay: str, tmp_path: Path) -> None:
    """`longshore get nodes | true`."""
    command = f"{sys.executable} -m controlplane.cli.main get nodes | true; echo ${{PIPESTATUS[0]}}"
    environment = {"LONGSHORE_URL": url, "LONGSHORE_TOKEN": house.token, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=True)
    assert (done.stdout.strip(), done.stderr) == ("0", "")
