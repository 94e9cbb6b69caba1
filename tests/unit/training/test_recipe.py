"""Recipes as their files say, and settings by the type of their defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.adapters.recipes_folder import FolderRecipes
from controlplane.training import recipe
from protos.errors import Rejected
from tests.sim import recipes

CHECKOUT = Path(__file__).parents[3]
TINY = recipe.parsed(recipes.RECIPE.format(name="tiny").encode(), "/x/tiny")


def test_a_recipe_is_read() -> None:
    assert (TINY.name, TINY.task, TINY.command) == ("tiny", "detection", ("{python}", "{folder}/run.py"))
    assert [(each.name, each.type) for each in TINY.settings] == [
        ("epochs", "int"),
        ("pause", "float"),
        ("ends", "str"),
        ("half", "bool"),
    ]


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        ({}, {"epochs": 5, "pause": 0.0, "ends": "well", "half": False}),
        ({"epochs": "2", "half": "yes"}, {"epochs": 2, "pause": 0.0, "ends": "well", "half": True}),
        ({"pause": 1, "ends": 7}, {"epochs": 5, "pause": 1.0, "ends": "7", "half": False}),
    ],
)
def test_settings_take_the_type_of_their_defaults(given: dict[str, recipe.Value], resolved: object) -> None:
    assert recipe.resolved(TINY, given) == resolved


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"epoch": 2}, "no setting 'epoch'; did you mean epochs"),
        ({"zzz": 2}, "it has epochs, pause, ends, half"),
        ({"epochs": "two"}, "epochs must be a whole number, such as 5"),
        ({"epochs": 2.5}, "epochs must be a whole number"),
        ({"epochs": True}, "epochs must be a whole number"),
        ({"epochs": 1 << 60}, "must be at most"),
        ({"pause": "nan"}, "pause must be a number"),
        ({"half": 1}, "half must be true or false"),
        ({"ends": "a\nb"}, "ends must be one line"),
    ],
)
def test_a_setting_of_another_type_is_refused(given: dict[str, recipe.Value], said: str) -> None:
    with pytest.raises(Rejected, match=said):
        recipe.resolved(TINY, given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name =", "cannot be read"),
        ('name = "A b"\ntask = "detection"\ncommand = ["x"]', "must be 1 to 63 of a-z"),
        ('name = "a"\ntask = "detection"', "command must be a list"),
        ('name = "a"\ntask = "flying"\ncommand = ["x"]', "task must be one of detection"),
        ('name = "a"\ntask = "tensor"\ncommand = ["x"]\nsetings = {}', "setings is no field"),
        ('name = "a"\ntask = "tensor"\ncommand = ["x"]\n[settings.b]\nhelp = "x"', "settings.b needs a default"),
        ('name = "a"\ntask = "tensor"\ncommand = ["x"]\n[settings.model]\ndefault = "x"', "another name"),
    ],
)
def test_a_broken_recipe_is_there_with_its_problem(tmp_path: Path, text: str, said: str) -> None:
    recipes.write(tmp_path, "odd", text)
    recipes.write(tmp_path, "tiny")
    odd, tiny = FolderRecipes(tmp_path).all()
    assert said in odd.problem
    assert not tiny.problem


def test_two_recipes_of_one_name_are_none(tmp_path: Path) -> None:
    recipes.write(tmp_path, "tiny")
    recipes.write(tmp_path, "twin", recipes.RECIPE.replace("{name}", "tiny").replace("{{", "{").replace("}}", "}"))
    (found,) = FolderRecipes(tmp_path).all()
    assert "both say that they are tiny" in found.problem


def test_the_recipes_of_this_checkout_can_be_read() -> None:
    assert [each.problem for each in FolderRecipes(CHECKOUT / "models").all() if each.problem] == []
