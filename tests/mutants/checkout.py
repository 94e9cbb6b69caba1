"""Copies of the checkout, one per lane: a mutant is written into one, its tests run there, and it is taken back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from xml.etree import ElementTree as ET

from tests.mutants.mutant import Case, Mutant, Verdict, judged

CHECKOUT = Path(__file__).parents[2]
FOLDERS = ("agent", "controlplane", "protos", "sandbox", "models", "tests", "bench", "docs", "scripts", "deploy")
FILES = ("pyproject.toml", "README.md", "CHANGELOG.md", "Makefile")
ENVIRONMENTS = (".venv", ".venv-agent", ".venv-train")  # linked: nothing is changed there
LANES = 2
SECONDS = 300.0  # to start, however busy the machine
_CALM = 60  # of one test: one that hangs is as good as red
_LONGEST_REASON = 160
_PORTS = 2500  # of each lane, from 12500 on: below those of the other tests


class Checkout:
    """One copy. Used by one thread at a time."""

    def __init__(self, folder: Path, lane: int) -> None:
        self._folder = folder / "tree"
        self._own = folder / "tmp"  # tests of two lanes share no temporary file
        self._ports = f"{12_500 + _PORTS * lane}-{12_500 + _PORTS * (lane + 1) - 1}"
        self._own.mkdir(parents=True)
        self._folder.mkdir()
        for name in FOLDERS:
            shutil.copytree(CHECKOUT / name, self._folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            shutil.copy(CHECKOUT / name, self._folder / name)
        for name in filter(lambda each: (CHECKOUT / each).exists(), ENVIRONMENTS):
            (self._folder / name).symlink_to((CHECKOUT / name).resolve())

    def verdict(self, mutant: Mutant) -> Verdict:
        """Raises Gone."""
        started = time.monotonic()
        with self._changed(mutant):
            cases = self.cases(mutant.tests)
        return judged(mutant, cases, time.monotonic() - started)

    def cases(self, tests: Sequence[str]) -> list[Case]:
        """What these tests make of this copy."""
        if not tests:
            return []
        report = self._own / "report.xml"
        report.unlink(missing_ok=True)
        options = ["-q", "-o", f"timeout={_CALM}", f"--junitxml={report}", "--hypothesis-profile=first"]
        command = [sys.executable, "-m", "pytest", *options, *tests]
        try:
            subprocess.run(
                command,
                cwd=self._folder,
                env=self._environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
                timeout=limit(tests),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [Case(test, failure=f"no end within {limit(tests):.0f} s") for test in tests]
        return _cases(report) if report.exists() else []

    def _environment(self) -> dict[str, str]:
        own = {"PYTHONPATH": str(self._folder), "TMPDIR": str(self._own), "LONGSHORE_TEST_PORTS": self._ports}
        return {**os.environ, **own}

    @contextmanager
    def _changed(self, mutant: Mutant) -> Iterator[None]:
        path = self._folder / mutant.file
        original = path.read_text()
        _write(path, mutant.applied(original))
        try:
            yield
        finally:
            _write(path, original)


def limit(tests: Sequence[str]) -> float:
    """Seconds for all of them: a lane's share of the unchanged copy's are dozens, a mutant's a few."""
    return SECONDS + _CALM * len(tests)


def _write(path: Path, text: str) -> None:
    """Compiled again, too: a change within a second, of one length, would not be seen."""
    path.write_text(text)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()


def _cases(report: Path) -> list[Case]:
    found = []
    for each in ET.parse(report).iter("testcase"):
        test = f"{each.get('classname', '').replace('.', '/')}.py::{each.get('name', '').partition('[')[0]}"
        wrong = each.find("failure") if each.find("failure") is not None else each.find("error")
        said = "" if wrong is None else (wrong.get("message") or "failed")
        lines = said.strip().splitlines() or [""]
        found.append(Case(test, each.find("skipped") is not None, lines[0][:_LONGEST_REASON]))
    return found


def run(
    mutants: Iterable[Mutant], told: Callable[[Verdict], None], *, baseline: bool
) -> tuple[list[Verdict], list[Case]]:
    """Verdicts in the order of `mutants`; and, with `baseline`, what fails in a copy that nothing was taken from.

    Raises Gone.
    """
    wanted = list(mutants)
    for mutant in wanted:
        mutant.applied((CHECKOUT / mutant.file).read_text())
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(LANES) as lanes:
        Path(folder).chmod(0o711)  # a database server of the tests runs as another user
        copies = list(lanes.map(lambda lane: Checkout(Path(folder) / str(lane), lane), range(LANES)))
        unchanged = list(lanes.map(Checkout.cases, copies, shares(wanted))) if baseline else []
        free: SimpleQueue[Checkout] = SimpleQueue()
        for each in copies:
            free.put(each)
        verdicts = list(lanes.map(lambda mutant: _one(free, mutant, told), wanted))
    return verdicts, [case for cases in unchanged for case in cases if case.failure]


def shares(mutants: Iterable[Mutant]) -> list[list[str]]:
    """All their tests, each once, for the lanes."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    return [tests[lane::LANES] for lane in range(LANES)]


def _one(free: SimpleQueue[Checkout], mutant: Mutant, told: Callable[[Verdict], None]) -> Verdict:
    copy = free.get()
    try:
        verdict = copy.verdict(mutant)
    finally:
        free.put(copy)
    told(verdict)
    return verdict
