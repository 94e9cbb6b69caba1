"""Rendering with `kubectl kustomize`, offline. Debian 12 has kustomize 2.0, which spells two things otherwise."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.servers.require import program

Document = dict[str, Any]


def rendered(folder: Path, scratch: Path) -> list[Document]:
    """The objects of an overlay, as a cluster would get them."""
    kubectl = program("kubectl", "kubernetes-client")
    if _is_old(kubectl):
        shutil.copytree(folder.parents[1], scratch, dirs_exist_ok=True)
        for file in scratch.rglob("kustomization.yaml"):
            file.write_text(yaml.safe_dump(_in_old_words(yaml.safe_load(file.read_text()), file.parent)))
        folder = scratch / folder.relative_to(folder.parents[1])
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return list(_documents(done.stdout))


def _documents(text: str) -> Iterator[Document]:
    yield from (document for document in yaml.safe_load_all(text) if document)


def _is_old(kubectl: str) -> bool:
    told = subprocess.run(
        [kubectl, "version", "--client", "-o", "json"], capture_output=True, text=True, check=False, timeout=60
    )
    return "kustomizeVersion" not in json.loads(told.stdout)


def _in_old_words(document: Document, home: Path) -> Document:
    """`resources` that are folders were `bases`, and `patches` of files a plain list."""
    resources = document.pop("resources")
    bases = [name for name in resources if (home / name).is_dir()]
    patches = [patch["path"] for patch in document.pop("patches", [])]
    plain = {"bases": bases, "resources": [name for name in resources if name not in bases]}
    return document | plain | {"patchesStrategicMerge": patches}
