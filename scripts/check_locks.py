"""Say whether requirements/*.lock still answer pyproject.toml, without the network.

Every requirement of what a lock is made from (extras, or requirements/*.in) must be pinned in it within its range,
every pin must carry hashes, and no lock may name a host or a path.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).resolve().parent.parent
EXTRAS = {
    "demo": ("agent-cpu", "controlplane"),
    "dev": ("agent-cpu", "controlplane", "dev"),
    "agent-cpu": ("agent-cpu",),
    "agent-openvino": ("agent-openvino",),
    "agent-gpu": ("agent-gpu",),
    "controlplane": ("controlplane",),
}
INPUTS = ("train", "triton")  # requirements/<name>.in, beside pyproject.toml
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", re.MULTILINE)


def listed(text: str) -> list[Requirement]:
    """The requirements of a requirements/*.in file."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


def requirements(project: dict[str, object], extras: tuple[str, ...]) -> list[Requirement]:
    """The project's dependencies and those of `extras`, with references to our own extras followed."""
    optional = project["optional-dependencies"]
    lines = project["dependencies"]
    assert isinstance(optional, dict)
    assert isinstance(lines, list)
    found = [Requirement(line) for line in lines]
    for extra in extras:
        for requirement in map(Requirement, optional[extra]):
            ours = requirement.name == project["name"]
            found += requirements(project, tuple(requirement.extras)) if ours else [requirement]
    return found


def faults(lock: str, text: str, wanted: list[Requirement]) -> list[str]:
    """What is wrong with one lock, as sentences."""
    pins = {canonicalize_name(name): version for name, version in _PIN.findall(text)}
    wrong = [
        f"{lock}.lock does not answer '{each}'; run make lock"
        for each in wanted
        if not each.specifier.contains(pins.get(canonicalize_name(each.name), "0"), prereleases=True)
    ]
    if text.count("==") > len(re.findall(r"==[^\n]*\\\n\s+--hash=sha256:", text)):
        wrong.append(f"{lock}.lock has a pin without a hash; run make lock")
    if re.search(r"://|file:|(^|[ =])/", text, re.MULTILINE):
        wrong.append(f"{lock}.lock names a host or a path; run make lock")
    return wrong


def main() -> int:
    """Print the faults of all locks; 1 when there are any."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    folder = CHECKOUT / "requirements"
    wanted = {lock: requirements(project, extras) for lock, extras in EXTRAS.items()}
    wanted |= {lock: listed((folder / f"{lock}.in").read_text()) for lock in INPUTS}
    wrong = [
        fault for lock, each in wanted.items() for fault in faults(lock, (folder / f"{lock}.lock").read_text(), each)
    ]
    print("\n".join(wrong) or f"locks: {len(wanted)} answer pyproject.toml and requirements/*.in")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
