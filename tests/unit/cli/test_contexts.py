"""Which control plane a command talks to, and as whom."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from controlplane.cli import contexts
from controlplane.cli.contexts import Context, Wish, remember, resolve, wish, write_local
from protos.errors import Rejected

HERE = Context("https://127.0.0.1:8443", "lsk_here", "PEM", "here")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config" / "longshore" / "config.yaml"


def test_nothing_known_says_what_to_do(tmp_path: Path, config: Path) -> None:
    with pytest.raises(Rejected, match="run 'longshore up --demo', 'longshore login URL', or set LONGSHORE_URL"):
        resolve(Wish(), tmp_path, config)


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
