"""Which control plane a command talks to, and as whom."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.cli import contexts
from controlplane.cli.contexts import LOCAL, Context, Wish, remember, resolve, wish, write_local
from protos.errors import Rejected
from tests.sim.command import Run

HERE = Context("https://127.0.0.1:8443", "lsk_here", "PEM", "here")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config" / "longshore" / "config.yaml"


def test_where_none_is_named_it_says_where_it_looked_and_what_to_do(tmp_path: Path, config: Path) -> None:
    with pytest.raises(Rejected) as found:
        resolve(Wish(), tmp_path, config)
    for part in ("LONGSHORE_URL", f".longshore/context.yaml in {tmp_path} or above", str(config)):
        assert part in str(found.value)
    assert "'longshore up --demo'" in str(found.value)
    assert "'longshore login URL'" in str(found.value)


def test_where_some_are_known_and_none_is_current_they_are_named(tmp_path: Path, config: Path) -> None:
    remember(config, HERE)
    with contexts.changing(config) as document:
        document["current"] = ""
    with pytest.raises(Rejected, match=r"'longshore context use NAME' \(there are: here\)"):
        resolve(Wish(), tmp_path, config)


def test_two_writers_take_turns(config: Path) -> None:
    """Both would read before either writes, and one of the contexts be lost."""
    remember(config, HERE)

    def add(number: int) -> None:
        remember(config, replace(HERE, name=f"fleet-{number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert len(contexts.remembered(config)) == 41


def test_a_context_of_an_up_that_ended_says_so(run: Run, tmp_path: Path) -> None:
    remember(_home(tmp_path), Context("http://127.0.0.1:1", "lsk_1", "", "local", state="/srv/quay/.longshore"))
    told = run("get", "nodes")
    assert (told.code, "'longshore up' that keeps its state in /srv/quay/.longshore does not run" in told.err) == (
        3,
        True,
    )


def test_up_leaves_a_context_that_commands_in_this_folder_and_below_find(tmp_path: Path, config: Path) -> None:
    write_local(tmp_path / ".longshore", HERE)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    for folder in (tmp_path, below):
        found = resolve(Wish(), folder, config)
        assert (found.url, found.token, found.ca_pem) == (HERE.url, HERE.token, HERE.ca_pem)


def test_the_remembered_context_is_used_where_no_folder_has_one(tmp_path: Path, config: Path) -> None:
    remember(config, HERE)
    remember(config, Context("http://other", "lsk_other", "", "other"))
    assert resolve(Wish(), tmp_path, config).url == "http://other"
    assert resolve(Wish(context="here"), tmp_path, config) == HERE


def test_the_folder_wins_over_the_remembered_and_the_option_over_the_folder(tmp_path: Path, config: Path) -> None:
    write_local(tmp_path / ".longshore", HERE)
    remember(config, Context("http://other", "lsk_other", "", "other"))
    assert resolve(Wish(), tmp_path, config).url == HERE.url
    assert resolve(Wish(context="other"), tmp_path, config).url == "http://other"
    assert resolve(Wish(url="http://third", token="lsk_3"), tmp_path, config).token == "lsk_3"


def test_a_remembered_token_is_never_sent_to_another_address(tmp_path: Path, config: Path) -> None:
    remember(config, HERE)
    assert resolve(Wish(url="https://evil:8443"), tmp_path, config).token == ""
    assert resolve(Wish(url=HERE.url + "/"), tmp_path, config).token == HERE.token


def test_a_token_from_the_environment_replaces_the_remembered_one(tmp_path: Path, config: Path) -> None:
    remember(config, HERE)
    found = resolve(wish({}, {"LONGSHORE_TOKEN": "lsk_new"}), tmp_path, config)
    assert (found.url, found.token, found.ca_pem) == (HERE.url, "lsk_new", "PEM")


def test_an_unknown_context_says_how_to_make_it(tmp_path: Path, config: Path) -> None:
    with pytest.raises(Rejected, match="longshore login URL --context x"):
        resolve(Wish(context="x"), tmp_path, config)


def test_files_with_tokens_are_private(tmp_path: Path, config: Path) -> None:
    remember(config, HERE)
    write_local(tmp_path / ".longshore", HERE)
    for path in (config, tmp_path / ".longshore" / "context.yaml"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700


def test_a_token_does_not_show_in_the_text_of_a_context() -> None:
    assert "lsk_here" not in repr(HERE) + repr(Wish(token="lsk_here"))


def test_a_damaged_file_is_named(tmp_path: Path, config: Path) -> None:
    config.parent.mkdir(parents=True)
    config.write_text("{")
    with pytest.raises(Rejected, match=r"config\.yaml is not YAML"):
        resolve(Wish(), tmp_path, config)


def test_the_configuration_lies_where_the_system_wants_it() -> None:
    assert contexts.config_path({"HOME": "/home/ann"}) == Path("/home/ann/.config/longshore/config.yaml")
    assert contexts.config_path({"XDG_CONFIG_HOME": "/x", "HOME": "/home/ann"}) == Path("/x/longshore/config.yaml")


def _planted(folder: Path, mode: int = 0o600) -> Path:
    write_local(folder / ".longshore", Context("https://evil.example", "", "", ""))
    (folder / LOCAL).chmod(mode)
    return folder / LOCAL


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o666, 0o604])
def test_a_file_in_a_folder_that_others_may_use_is_refused(tmp_path: Path, config: Path, mode: int) -> None:
    """A checkout or an archive brings 0644; `longshore up` writes 0600."""
    _planted(tmp_path, mode)
    with pytest.raises(
        Rejected, match=rf"context\.yaml may be used by other users .*mode {mode:04o}.*--context or --url"
    ):
        resolve(Wish(token="lsk_mine"), tmp_path, config)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
@pytest.mark.parametrize("given", [".longshore", ".longshore/context.yaml"])
def test_a_file_or_folder_of_another_user_is_refused(tmp_path: Path, config: Path, given: str) -> None:
    _planted(tmp_path)
    os.chown(tmp_path / given, 4711, 4711)
    with pytest.raises(Rejected, match=r"is not yours, so it may lead your token elsewhere .*user 4711"):
        resolve(Wish(token="lsk_mine"), tmp_path, config)


def test_a_file_of_another_user_is_refused_whoever_runs_the_tests(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _planted(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(Rejected, match="is not yours"):
        resolve(Wish(token="lsk_mine"), tmp_path / "below", config)


def test_a_link_in_a_folder_is_not_followed(tmp_path: Path, config: Path) -> None:
    other = tmp_path / "other"
    _planted(other)
    here = tmp_path / "here"
    here.mkdir()
    (here / ".longshore").symlink_to(other / ".longshore")
    with pytest.raises(Rejected, match=r"is not trusted, because \.longshore is a link"):
        resolve(Wish(), here, config)


def test_a_folder_in_which_others_may_write_is_refused(tmp_path: Path, config: Path) -> None:
    _planted(tmp_path).parent.chmod(0o775)
    with pytest.raises(Rejected, match="may be replaced by other users of this machine; run 'chmod go-w"):
        resolve(Wish(), tmp_path, config)


def test_who_says_where_to_go_is_not_held_up_by_such_a_file(tmp_path: Path, config: Path) -> None:
    _planted(tmp_path, 0o644)
    remember(config, HERE)
    assert resolve(Wish(context="here"), tmp_path, config) == HERE
    assert resolve(Wish(url="https://fleet.example", token="lsk_1"), tmp_path, config).url == "https://fleet.example"


def test_a_file_left_by_a_killed_run_does_not_make_a_token_public(config: Path) -> None:
    config.parent.mkdir(parents=True)
    left = config.with_name(f".{config.name}.{os.getpid()}")
    left.write_text("")
    left.chmod(0o666)
    remember(config, HERE)
    assert stat.S_IMODE(config.stat().st_mode) == 0o600


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Rejected, match="cannot write"):
        remember(tmp_path / "file" / "longshore" / "config.yaml", HERE)


@pytest.mark.parametrize("text", ["contexts: [a]", "current: a\ncontexts: {a: b}"])
def test_a_file_of_another_shape_is_named(config: Path, tmp_path: Path, text: str) -> None:
    config.parent.mkdir(parents=True)
    config.write_text(text)
    with pytest.raises(Rejected, match="is not what 'longshore login' writes"):
        resolve(Wish(), tmp_path, config)


def _home(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".config" / "longshore" / "config.yaml"


@pytest.fixture
def two(run: Run, tmp_path: Path) -> Path:
    """Two remembered control planes; `lab` is the current one. The file's path."""
    config = _home(tmp_path)
    contexts.remember(config, Context("https://fleet.example:8443", "lsk_one", "PEM", "harbour"))
    contexts.remember(config, Context("http://127.0.0.1:8080", "lsk_two", "", "lab"))
    return config


def test_the_list_shows_which_is_in_use_and_no_token(run: Run, two: Path) -> None:
    shown = run("context", "list")
    assert [line.split() for line in shown.out.splitlines()[1:]] == [
        ["harbour", "https://fleet.example:8443", "its", "own", "CA"],
        ["*", "lab", "http://127.0.0.1:8080", "plain", "http"],
    ]
    assert "lsk_" not in shown.out + run("context", "list", "-o", "json").out


def test_another_one_is_chosen_renamed_and_forgotten(run: Run, two: Path) -> None:
    assert run("context", "use", "harbour").code == 0
    assert run("context", "rename", "harbour", "quay").code == 0
    assert contexts.current(two) == "quay"
    assert run("context", "delete", "quay").code == 0
    assert ([each.name for each in contexts.remembered(two)], contexts.current(two)) == (["lab"], "")
    assert two.stat().st_mode & 0o777 == 0o600


def test_signing_out_forgets_the_token(run: Run, two: Path) -> None:
    assert run("logout").out.startswith("forgot lab\n")
    assert "lsk_two" not in two.read_text()
    assert "nobody is signed in" in run("logout").err


@pytest.mark.parametrize("words", [["use", "x"], ["delete", "x"], ["rename", "x", "y"], ["rename", "lab", "harbour"]])
def test_a_context_that_is_none_or_taken_is_refused_and_nothing_is_lost(run: Run, two: Path, words: list[str]) -> None:
    before = two.read_text()
    assert run("context", *words).code == 1
    assert two.read_text() == before
