"""A file of a release is never held in memory: the command's peak is the same for a small and a large one.

Measured in a process of its own, as the kernel counts it (VmHWM): nothing that a library holds is missed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from tests.sim import releases
from tests.sim.command import release_folder
from tests.sim.control_plane import SimControlPlane

LARGE, SMALL = 64 << 20, 1 << 10
SLACK = 16 << 20  # chunks, buffers and what an allocator keeps
_PROGRAM = """
import re, sys
from controlplane.cli.main import main
code = main(sys.argv[1:])
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(code, int(peak[1]) << 10)
"""


def peak(*words: str, folder: Path, **environment: str) -> int:
    """Bytes that `longshore` with these words took at most."""
    command = [sys.executable, "-c", _PROGRAM, *words]
    variables = {"PYTHONPATH": str(Path(__file__).parents[3]), "HOME": str(folder), **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=True, cwd=folder)
    code, counted = done.stdout.splitlines()[-1].split()
    assert code == "0", done.stderr
    return int(counted)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_push_holds_no_file_in_memory(house: SimControlPlane, url: str, tmp_path: Path) -> None:
    peaks = {}
    for size in (SMALL, LARGE):
        folder = release_folder(releases.make(f"1.{size}", size=size), tmp_path / str(size))
        peaks[size] = peak("push", str(folder), folder=tmp_path, LONGSHORE_URL=url, LONGSHORE_TOKEN=house.token)
    assert len(house.registry.releases()) == 2
    assert peaks[LARGE] < peaks[SMALL] + SLACK


def _model(path: Path, size: int) -> Path:
    given = helper.make_tensor_value_info("given", TensorProto.FLOAT, ("N",))
    taken = helper.make_tensor_value_info("taken", TensorProto.FLOAT, ("N",))
    weights = helper.make_tensor("w", TensorProto.UINT8, (size,), bytes(size), raw=True)
    graph = helper.make_graph([helper.make_node("Identity", ["taken"], ["given"])], "g", [taken], [given], [weights])
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_packaging_holds_no_file_in_memory(tmp_path: Path) -> None:
    peaks = {}
    for size in (SMALL, LARGE):
        model = _model(tmp_path / f"{size}.onnx", size)
        named = ("--name", "x", "--version", "1", "-o", str(tmp_path / f"{size}"))
        peaks[size] = peak("package", str(model), *named, folder=tmp_path)
    assert peaks[LARGE] < peaks[SMALL] + SLACK
