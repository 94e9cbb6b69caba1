"""What `up` lends to a home, and takes back."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.cli import contexts
from controlplane.cli.contexts import Context, Wish, remember, resolve
from controlplane.up.context import Lent, lend, take_back
from protos.errors import Rejected

UP = Context("https://127.0.0.1:8443", "lsk_up", "PEM", state="/home/ann/demo/.longshore")
OTHER = replace(UP, url="https://127.0.0.1:9443", state="/home/ann/lab/.longshore")
FLEET = Context("https://fleet.example:8443", "lsk_fleet", "PEM", "fleet")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config" / "longshore" / "config.yaml"


def test_commands_find_it_from_any_folder_while_it_runs(config: Path, tmp_path: Path) -> None:
    assert lend(config, UP) == Lent("local", current=True)
    assert resolve(Wish(), tmp_path, config) == replace(UP, name="local")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    take_back(config, UP.state)
    assert "lsk_up" not in config.read_text()
    with pytest.raises(Rejected, match="no control plane is named"):
        resolve(Wish(), tmp_path, config)


def test_commands_meant_for_another_fleet_still_go_there(config: Path, tmp_path: Path) -> None:
    remember(config, FLEET)
    assert lend(config, UP) == Lent("local", current=False)
    assert resolve(Wish(), tmp_path, config) == FLEET
    assert resolve(Wish(context="local"), tmp_path, config).url == UP.url
    take_back(config, UP.state)
    assert contexts.remembered(config) == [FLEET]
    assert contexts.current(config) == "fleet"


def test_its_end_sends_no_command_on_to_another_fleet(config: Path) -> None:
    remember(config, FLEET)
    lend(config, UP)
    contexts.choose(config, "local")
    take_back(config, UP.state)
    assert contexts.current(config) == ""


def test_one_of_a_killed_up_is_replaced_and_one_of_another_folder_stays(config: Path) -> None:
    lend(config, UP)
    assert lend(config, OTHER) == Lent("local-2", current=False)
    assert lend(config, replace(UP, token="lsk_new")) == Lent("local", current=True)
    assert [each.token for each in contexts.remembered(config)] == ["lsk_new", "lsk_up"]


def test_a_name_that_a_person_gave_stays_and_is_taken_back_too(config: Path) -> None:
    lend(config, UP)
    contexts.rename(config, "local", "demo")
    assert lend(config, UP) == Lent("demo", current=True)
    take_back(config, UP.state)
    assert contexts.remembered(config) == []


def test_a_login_under_its_name_is_not_overwritten(config: Path) -> None:
    remember(config, replace(FLEET, name="local"))
    assert lend(config, UP) == Lent("local-2", current=False)


def test_where_nothing_was_lent_nothing_is_written(config: Path) -> None:
    take_back(config, UP.state)
    assert not config.exists()


def test_a_file_of_another_shape_is_refused_and_kept(config: Path) -> None:
    config.parent.mkdir(parents=True)
    config.write_text("contexts: [a]")
    with pytest.raises(Rejected, match="mend or remove it"):
        lend(config, UP)
    assert config.read_text() == "contexts: [a]"
