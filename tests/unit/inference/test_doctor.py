"""The doctor: facts in, sentences with a way out; and one look at the box the tests run on."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent import doctor
from agent.adapters.x509 import X509Keys
from agent.config import AgentConfig
from agent.doctor import Facts, Finding, diagnose, report
from agent.inference.compiled import Platform
from agent.main import cli
from agent.stored import TrustState
from agent.trust.floors import Floors
from sandbox import kernel
from sandbox.report import MENDS, Confined, Layer
from tests.sim.authority import DAY, SimAuthority

WELL = Facts(
    provider="cpu",
    distributions={"onnxruntime": "1.32.0"},
    capabilities={"providers": ["cpu"], "pictures": ["jpg", "png"], "video": ["h264", "hevc", "mjpeg"]},
)

GPU = replace(
    WELL,
    provider="cuda",
    gpu=True,
    distributions={"onnxruntime-gpu": "1.31.1"},
    capabilities={**WELL.capabilities, "providers": ["cpu", "cuda", "tensorrt"]},
)


def test_a_box_that_is_well_has_no_broken_finding() -> None:
    for facts in (WELL, GPU):
        assert not any(finding.broken for finding in diagnose(facts))


def test_the_doctor_examines_what_run_would_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examined: list[AgentConfig] = []

    def examine(config: AgentConfig, _: object) -> list[Finding]:
        examined.append(config)
        return []

    monkeypatch.setattr(doctor, "examine", examine)
    asked = ["doctor", "--state-dir", str(tmp_path), "--provider", "cuda", "--http-port", "9000"]
    assert CliRunner().invoke(cli, asked).exit_code == 0
    assert [(config.provider, config.http_port, config.state_dir) for config in examined] == [("cuda", 9000, tmp_path)]


@pytest.mark.parametrize(
    ("facts", "subject", "words"),
    [
        (
            replace(WELL, distributions={"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.0"}),
            "onnxruntime",
            "pip uninstall --yes onnxruntime onnxruntime-gpu",
        ),
        (replace(WELL, distributions={}, capabilities={}), "onnxruntime", "pip install"),
        (replace(WELL, errors={"providers": "libfoo.so is missing"}), "onnxruntime", "libfoo.so"),
        (replace(WELL, errors={"providers": "x"}), "onnxruntime", "pip install --force-reinstall 'onnxruntime>="),
        (replace(GPU, gpu=False), "gpu", "--provider cpu"),
        (replace(GPU, errors={"gpu": "libcublas.so.13"}), "gpu", "libcublas.so.13"),
        (replace(GPU, errors={"gpu": "libcublas.so.13"}), "gpu", "pip install 'onnxruntime-gpu[cuda,cudnn]>="),
        (replace(WELL, distributions={"onnxruntime-gpu": "1.31.0"}, provider="cuda"), "provider", "--provider cpu"),
        (replace(WELL, capabilities={**WELL.capabilities, "video": ["mjpeg"]}), "video", "h264"),
        (replace(WELL, errors={"pictures": "libGL.so.1"}), "pictures", "opencv-python-headless"),
        (replace(WELL, state_writable=False), "state", "--state-dir"),
        (replace(WELL, no_address="192.0.2.1"), "address", "--listen"),
        (replace(WELL, free_bytes=1 << 20), "disk", "1 MiB are free"),
    ],
)
def test_what_is_broken_comes_first_with_the_way_out(facts: Facts, subject: str, words: str) -> None:
    first = diagnose(facts)[0]
    assert (first.subject, first.broken) == (subject, True)
    assert words in first.sentence
    assert report([first]).startswith("BROKEN")


OPENVINO = replace(
    WELL,
    provider="openvino-bf16",
    openvino="2026.4.1",
    processor=frozenset({"avx512f", "avx512_bf16"}),
    capabilities={**WELL.capabilities, "openvino": ["openvino-f32", "openvino-bf16"]},
)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(OPENVINO, openvino=None), "pip install 'openvino>="),
        (replace(OPENVINO, processor=frozenset({"avx2"})), "does not compute in bf16"),
        (replace(OPENVINO, errors={"openvino": "libtbb.so.12"}), "libtbb.so.12"),
        (replace(OPENVINO, capabilities={**WELL.capabilities, "openvino": ["openvino-f32"]}), "it runs openvino-f32"),
    ],
)
def test_a_box_that_cannot_run_openvino_as_it_was_told_is_told_why(facts: Facts, words: str) -> None:
    first = diagnose(facts)[0]
    assert (first.subject, first.broken, words in first.sentence) == ("openvino", True, True)


def test_a_box_that_runs_openvino_is_told_in_which_precisions() -> None:
    assert "2026.4.1 with openvino-f32, openvino-bf16" in report(diagnose(OPENVINO))
    assert not any(finding.broken for finding in diagnose(OPENVINO))
    assert "openvino" not in report(diagnose(replace(WELL, errors={"openvino": "No module named 'openvino'"})))


def test_what_is_only_worth_knowing_is_not_broken() -> None:
    facts = replace(WELL, gpu=True, joined=False, taken_ports={"http-port": 8000})
    findings = diagnose(facts)
    assert not any(finding.broken for finding in findings)
    text = report(findings)
    assert "agent-gpu" in text
    assert "longshore-agent join" in text
    assert "--http-port" in text


def test_with_tensorrt_it_says_what_models_are_compiled_for() -> None:
    here = Platform(("NVIDIA L4",), "580.65.06", "onnxruntime-gpu 1.31.1", "tensorrt-cu13 10.13")
    facts = replace(GPU, provider="tensorrt", platform=here)
    assert "compiled once for NVIDIA L4, driver 580.65.06, tensorrt-cu13 10.13" in report(diagnose(facts))
    (said,) = (each for each in diagnose(replace(facts, platform=None)) if each.subject == "tensorrt")
    assert (said.note, "compile at each start" in said.sentence) == (True, True)
    assert "compile" not in report(diagnose(GPU))


def sandbox_told(facts: Facts) -> list[Finding]:
    return [finding for finding in diagnose(facts) if finding.subject == "sandbox"]


def test_a_whole_sandbox_is_told_with_its_layers() -> None:
    layers = (Layer("landlock", holds=True, detail="abi 7"), Layer("seccomp", holds=True, detail=""))
    (told,) = sandbox_told(replace(WELL, sandbox=Confined("pictures", layers)))
    assert (told.level, told.sentence) == ("ok", "landlock abi 7, seccomp")


@pytest.mark.parametrize("name", MENDS)
def test_a_missing_layer_is_worth_knowing_with_what_mends_it(name: str) -> None:
    word = Confined("pictures", (Layer(name, holds=False, detail="this kernel does not offer it"),))
    (told,) = sandbox_told(replace(WELL, sandbox=word))
    assert told.level == "note"
    assert told.sentence == f"workers run without {name}: this kernel does not offer it; {MENDS[name]}"


def test_a_sandbox_that_could_not_be_tried_says_how_to_try_it() -> None:
    (told,) = sandbox_told(replace(WELL, sandbox=None))
    assert told.level == "note"
    assert "python -m sandbox" in told.sentence


def test_the_sandbox_of_this_box_is_tried_in_a_process_of_its_own() -> None:
    word = doctor._entered()
    assert word is not None
    assert [layer.name for layer in word.layers] == [name for name in MENDS if name != "cgroup"]  # the agent makes that
    assert kernel.machine() is None or not {layer.name for layer in word.missing} & {"seccomp", "rlimits"}


def cgroups_told(layer: Layer | None) -> tuple[str, str]:
    (told,) = (each for each in diagnose(replace(WELL, cgroups=layer)) if each.subject == "cgroups")
    return told.level, told.sentence


def test_cgroups_of_workers_are_told_of_the_agent_that_runs() -> None:
    assert cgroups_told(None)[0] == "ok"
    assert cgroups_told(Layer("cgroup", holds=True, detail="3 of workers below /c")) == ("ok", "3 of workers below /c")
    level, sentence = cgroups_told(Layer("cgroup", holds=False, detail="/sys/fs/cgroup is read-only"))
    assert (level, sentence) == ("note", f"workers run without: /sys/fs/cgroup is read-only; {MENDS['cgroup']}")


def test_ports_of_the_agent_that_runs_here_are_its_own() -> None:
    findings = diagnose(replace(WELL, running="77", taken_ports={"http-port": 8000}))
    assert "process 77 runs" in report(findings)
    assert "--http-port" not in report(findings)


@pytest.mark.timeout(300)
def test_this_box_can_run_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PROBE_SECONDS", 240.0)  # the machine of the tests may be busy; the green run takes 2 s
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = AgentConfig(state_dir=tmp_path / "not" / "there", http_port=port, grpc_port=0, metrics_port=0)
        facts = doctor.gather(config)
    assert facts.capabilities["providers"] == ["cpu"]
    assert facts.taken_ports == {"http-port": port}
    assert not facts.joined
    roomy = replace(facts, free_bytes=WELL.free_bytes)  # how full this disk is says nothing about us
    assert not any(finding.broken for finding in diagnose(roomy))


def test_an_address_this_machine_does_not_have_is_no_taken_port(tmp_path: Path) -> None:
    facts = doctor.gather(AgentConfig(state_dir=tmp_path, listen="192.0.2.1"))
    assert (facts.no_address, facts.taken_ports) == ("192.0.2.1", {})


@pytest.mark.parametrize(
    ("ended_days", "words"), [(10, "the running agent renews it"), (100, "longshore token create"), (-5, "")]
)
def test_a_certificate_that_has_expired_is_told_with_what_to_do(tmp_path: Path, ended_days: int, words: str) -> None:
    keys = X509Keys()
    request = keys.request(keys.new_key(), "quay-1")
    authority = SimAuthority(now=time.time() - (ended_days + 7) * DAY)
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "cert.pem").write_bytes(authority.device(request, "quay-1", life=7 * DAY))
    found = diagnose(doctor.gather(AgentConfig(state_dir=tmp_path, http_port=0, grpc_port=0, metrics_port=0)))
    told = [finding.sentence for finding in found if finding.subject == "certificate"]
    assert len(told) == (1 if words else 0)
    assert all(words in sentence for sentence in told)


def test_the_doctor_says_how_fresh_signed_metadata_is_and_that_it_expired() -> None:
    floors = Floors("fleet", root=2, roles={"timestamp": 7}, signed=1_000, releases={"harbour": 5})
    fresh = replace(WELL, trust=TrustState(True, floors, 90_000.0), now=8_200.0)
    (found,) = [finding for finding in diagnose(fresh) if finding.subject == "signed metadata"]
    assert (found.sentence, found.note) == ("version 7 under root 2, signed 2 h ago, harbour from number 5 on", False)
    (late,) = [each for each in diagnose(replace(fresh, now=90_000.0)) if each.subject == "signed metadata"]
    assert late.note
    assert "nothing is installed until the control plane signs anew" in late.sentence


def test_a_box_that_has_proven_nothing_yet_says_so() -> None:
    (found,) = [each for each in diagnose(replace(WELL, trust=TrustState())) if each.subject == "signed metadata"]
    assert found.sentence.startswith("this box trusts no root yet; it takes one at its next Sync")
