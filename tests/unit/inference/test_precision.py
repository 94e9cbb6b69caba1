"""Which precisions of OpenVINO a box can be told to use."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from agent import providers
from agent.config import AgentConfig, from_environment
from agent.inference.precision import REQUIREMENT, abilities, trouble
from agent.running import run_node
from protos.errors import Fatal, Rejected

ABLE = frozenset({"avx512f", "avx512_bf16"})
OLD = frozenset({"avx2", "avx512f"})


@pytest.mark.parametrize(
    ("provider", "version", "able", "words"),
    [
        ("cpu", None, OLD, None),
        ("openvino-f32", "2026.4.1", OLD, None),
        ("openvino-bf16", "2026.4.1", ABLE, None),
        ("openvino-bf16", "2026.4.1", frozenset({"asimd", "bf16"}), None),
        ("openvino-bf16", "2026.4.1", OLD, "this processor does not compute in bf16"),
        ("openvino-bf16", "2026.4.1", frozenset[str](), "choose --provider cpu"),
        ("openvino-f32", None, ABLE, "-m pip install 'openvino>="),
    ],
)
def test_what_cannot_be_is_one_sentence_with_the_way_out(
    provider: str, version: str | None, able: frozenset[str], words: str | None
) -> None:
    told = trouble(provider, version, able, "/opt/python")
    assert (told is None) if words is None else (told is not None and words in told and "\n" not in told)


@pytest.mark.parametrize("text", ["flags\t\t: fpu avx512_bf16\n", "Features\t: fp bf16\n", "processor : 0\n", ""])
def test_what_a_processor_can_is_read_where_the_kernel_says_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{text}flags\t: another\n")
    assert abilities(tmp_path / "cpuinfo") == frozenset((text.partition(":")[2] if "f" in text else "another").split())
    assert abilities(tmp_path / "nothing") == frozenset()


def test_an_agent_does_not_start_in_a_precision_that_its_processor_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.inference.precision.abilities", lambda: OLD)
    monkeypatch.setattr("agent.inference.precision.installed", lambda: "2026.4.1")
    with pytest.raises(Fatal, match="does not compute in bf16"):
        run_node(AgentConfig(state_dir=tmp_path, provider="openvino-bf16"))


def test_a_provider_that_nobody_knows_is_refused_with_those_there_are() -> None:
    for known in providers.ALL:
        assert from_environment({"LONGSHORE_AGENT_PROVIDER": known}).provider == known
    with pytest.raises(Rejected, match="one of cpu, openvino-f32, openvino-bf16, cuda, tensorrt, not 'openvino'"):
        from_environment({"LONGSHORE_AGENT_PROVIDER": "openvino"})


def test_the_requirement_is_that_of_the_project_and_no_box_gets_it_unasked() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    assert REQUIREMENT in extras["agent-openvino"]
    assert REQUIREMENT in extras["dev"]
    assert not any("openvino" in each for name in ("agent", "agent-cpu", "controlplane") for each in extras[name])
