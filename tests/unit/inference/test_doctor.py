"""The doctor: facts in, sentences with a way out; and one look at the box the tests run on."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from agent import doctor
from agent.config import AgentConfig
from agent.doctor import Facts, diagnose, report

WELL = Facts(
    provider="cpu",
    distributions={"onnxruntime": "1.32.0"},
    capabilities={"providers": ["cpu"], "pictures": ["jpg", "png"], "video": ["h264", "hevc", "mjpeg"]},
)


def test_a_box_that_is_well_has_no_broken_finding() -> None:
    assert not any(finding.broken for finding in diagnose(WELL))


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
        (replace(WELL, distributions={"onnxruntime-gpu": "1.31.0"}, provider="cuda"), "provider", "--provider cpu"),
        (replace(WELL, capabilities={**WELL.capabilities, "video": ["mjpeg"]}), "video", "h264"),
        (replace(WELL, errors={"pictures": "libGL.so.1"}), "pictures", "opencv-python-headless"),
        (replace(WELL, state_writable=False), "state", "--state-dir"),
        (replace(WELL, free_bytes=1 << 20), "disk", "1 MiB are free"),
    ],
)
def test_what_is_broken_comes_first_with_the_way_out(facts: Facts, subject: str, words: str) -> None:
    first = diagnose(facts)[0]
    assert (first.subject, first.broken) == (subject, True)
    assert words in first.sentence
    assert report([first]).startswith("BROKEN")


def test_what_is_only_worth_knowing_is_not_broken() -> None:
    facts = replace(WELL, gpu=True, joined=False, taken_ports={"http-port": 8000})
    findings = diagnose(facts)
    assert not any(finding.broken for finding in findings)
    text = report(findings)
    assert "agent-gpu" in text
    assert "longshore-agent join" in text
    assert "--http-port" in text


def test_this_box_can_run_models(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = AgentConfig(state_dir=tmp_path / "not" / "there", http_port=port, grpc_port=0, metrics_port=0)
        facts = doctor.gather(config)
    assert facts.capabilities["providers"] == ["cpu"]
    assert facts.taken_ports == {"http-port": port}
    assert not facts.joined
    assert not any(finding.broken for finding in diagnose(facts))
