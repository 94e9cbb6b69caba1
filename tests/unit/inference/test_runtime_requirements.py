"""The lines that mend an environment name what pyproject.toml asks for."""

from __future__ import annotations

import tomllib
from pathlib import Path

from agent.inference.runtime import CPU, GPU, GPU_LIBRARIES, REQUIREMENT


def test_the_requirements_are_those_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    assert REQUIREMENT[CPU] in extras["agent-cpu"]
    assert REQUIREMENT[GPU] in extras["agent-gpu"]
    assert GPU_LIBRARIES.replace("[cuda,cudnn]", "") == REQUIREMENT[GPU]
    assert REQUIREMENT[CPU] in extras["controlplane"]  # the gate tries a model on what boxes have
