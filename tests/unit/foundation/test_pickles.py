"""Nothing of ours unpickles: a pickle is a program, and weights, checkpoints and data sets come from strangers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
PACKAGES = ("agent", "controlplane", "models", "protos", "sandbox", "scripts")
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "_pickle"}
LOADERS = {"torch.load", "torch.jit.load", "torch.export.load", "torch.hub.load", "torch.package.PackageImporter"}


def faults(source: str) -> Iterator[str]:
    """What in a module reads a pickle, or may."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.partition(".")[0] in UNPICKLERS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in UNPICKLERS:
            yield node.module or ""
        elif isinstance(node, ast.ImportFrom):
            yield from (name for each in node.names if (name := f"{node.module}.{each.name}") in LOADERS)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in LOADERS:
            yield ast.unparse(node)
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            yield "allow_pickle"


def test_no_module_of_ours_reads_a_pickle() -> None:
    modules = [path for package in PACKAGES for path in (CHECKOUT / package).rglob("*.py")]
    assert len(modules) > 300
    found = {str(path.relative_to(CHECKOUT)): fault for path in modules for fault in faults(path.read_text())}
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load('x', weights_only=True)",
        "from torch import load",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
    ],
)
def test_whatever_reads_one_is_seen(source: str) -> None:
    assert list(faults(source))
