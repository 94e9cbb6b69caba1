"""Each `recipe.toml` says what its recipe does."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from controlplane.training.recipe import parsed
from controlplane.training.recipe import resolved as control_plane_settings
from models.classifier.settings import Settings as Classifier
from models.detector.settings import Settings as Detector
from models.harbour.settings import Settings as Harbour
from models.run.settings import Asked
from models.run.settings import resolved as run_settings
from protos.manifest import TASKS

MODELS = Path(__file__).parents[3] / "models"
SETTINGS: dict[str, Any] = {"harbour": Harbour(), "detector": Detector(), "classifier": Classifier()}


def recipe(name: str) -> dict[str, Any]:
    return tomllib.loads((MODELS / name / "recipe.toml").read_text())


def test_every_recipe_is_looked_at_here() -> None:
    assert {file.parent.name for file in MODELS.glob("*/recipe.toml")} == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_defaults_of_the_file_are_those_of_the_code(name: str) -> None:
    stated = {setting: entry["default"] for setting, entry in recipe(name)["settings"].items()}
    assert stated == asdict(SETTINGS[name])
    assert {setting: type(value) for setting, value in stated.items()} == {
        setting: type(value) for setting, value in asdict(SETTINGS[name]).items()
    }


@pytest.mark.parametrize("name", SETTINGS)
def test_the_control_plane_makes_the_settings_of_a_run_of_it(name: str, tmp_path: Path) -> None:
    known = parsed((MODELS / name / "recipe.toml").read_bytes(), str(MODELS / name))
    document = {**control_plane_settings(known, {"epochs": "3"}), "model": "yard", "version": "1.2.3"}
    (tmp_path / "settings.json").write_text(json.dumps(document))
    settings, asked = run_settings(SETTINGS[name], Asked("own", "0.0.1"), tmp_path, [])
    assert settings == replace(SETTINGS[name], epochs=3)
    assert asked == Asked("yard", "1.2.3")


@pytest.mark.parametrize("name", SETTINGS)
def test_a_recipe_is_named_by_its_folder_and_every_setting_is_explained(name: str) -> None:
    stated = recipe(name)
    assert stated["name"] == name
    assert stated["task"] in TASKS
    assert stated["summary"]
    assert stated["command"] == ["{python}", "-m", f"models.{name}", "run"]
    assert all(entry["help"] for entry in stated["settings"].values())
