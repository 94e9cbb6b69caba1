"""What `package --int8` needs around `controlplane.quantizing`: pictures from the agent, sources told apart.

Pictures are decoded and fitted by `longshore-agent frames`, so that calibration and judgement see what a box sees.
Nothing is printed here.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from controlplane.cli import packing, trying
from controlplane.cli.bars import Shares
from controlplane.quantizing import datasets, domain, folder, frames, runtime_ort, service
from controlplane.quantizing.frames import Frame
from controlplane.quantizing.judges import judge
from controlplane.quantizing.service import Int8
from protos import ids
from protos.errors import Rejected
from protos.manifest import Manifest

MOST_BYTES = 768 << 20  # of pictures held at once


@dataclass(frozen=True)
class Wish:
    """`calibrate`: a video or folder of pictures. `evaluate`: a dataset, or None to judge by agreement with fp32."""

    calibrate: Path
    evaluate: Path | None = None
    exclude: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True)
class Made:
    manifest: Manifest
    int8: Int8
    notes: tuple[str, ...]


def make(release: Path, wish: Wish, target: Path, progress: Shares) -> Made:
    """Write `target`: the release at `release` with an int8 variant that passed the gate.

    Raises:
        Rejected: nothing to calibrate or to judge by, or the gate refused; nothing is written.
        Fatal: this environment has no ONNX Runtime or no agent.
    """
    runtime_ort.check_installed()
    trying.check_agent()
    packing.check_free(target)
    manifest = folder.read(release)
    if wish.version:
        manifest = replace(manifest, version=ids.version(wish.version))
    notes: list[str] = []
    job = _job(release, manifest, wish, notes, progress)
    with tempfile.TemporaryDirectory(prefix="longshore-int8-") as place:
        model = Path(place) / folder.MODEL
        int8 = service.quantize(job, model, progress)
        made = folder.write(release, manifest, model, int8, target)
    return Made(made, int8, tuple(dict.fromkeys(notes)))


def _job(release: Path, manifest: Manifest, wish: Wish, notes: list[str], progress: Shares) -> service.Job:
    assert manifest.input is not None  # `folder.read` has refused the others
    model = release / folder.fp32_of(manifest).file
    room = MOST_BYTES // (manifest.input.height * manifest.input.width * 3)
    film = wish.calibrate.is_file()
    if wish.evaluate is None:
        wanted = min(room, domain.CALIBRATION * domain.HELD_OUT // (domain.HELD_OUT - 1))
        held = _calibration(release, wish.calibrate, wanted, notes, progress)
        calibration, out = domain.held_out(held, film=film)
        kept = [replace(frame, share=number / len(out)) for number, frame in enumerate(out, 1)]
        return service.Job(model, calibration, lambda: kept, judge(manifest.task, None), wish.exclude)
    dataset = datasets.opened(wish.evaluate, manifest.task, manifest.labels)
    calibration = _calibration(release, wish.calibrate, min(room, domain.CALIBRATION), notes, progress)
    dataset = dataset.without({Path(frame.name).resolve() for frame in calibration})
    if dataset.unknown:
        left_out = "1 annotation was" if dataset.unknown == 1 else f"{dataset.unknown} annotations were"
        notes.append(f"{left_out} left out: of classes that the release does not know")
    judged = _stream(release, [str(path) for path in dataset.pictures], notes)
    return service.Job(model, calibration, judged, judge(manifest.task, dataset), wish.exclude)


def _calibration(release: Path, source: Path, count: int, notes: list[str], progress: Shares) -> list[Frame]:
    if not source.exists():
        raise Rejected(f"{source} is not there; --calibrate takes a video or a folder of pictures")
    if source.is_file():
        taken = _agent(["frames", str(release), "--film", str(source), "--count", str(count)], "", notes)
    else:
        paths = domain.spread(datasets.pictures_below(source), count)
        taken = _stream(release, [str(path) for path in paths], notes)()
    held = []
    for frame in taken:
        held.append(frame)
        progress("taking pictures", frame.share)
    if not held and notes:
        raise Rejected(f"no picture of {source} can be read ({notes[0]}); --calibrate wants JPEG, PNG or a video")
    return held


def _stream(release: Path, names: Sequence[str], notes: list[str]) -> Callable[[], Iterator[Frame]]:
    """These pictures, as often as they are asked for."""
    return lambda: _agent(["frames", str(release)], "\n".join(names), notes)


def _agent(words: Sequence[str], given: str, notes: list[str]) -> Iterator[Frame]:
    with tempfile.TemporaryFile() as said:
        command = [*trying.AGENT, *words]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said) as agent:
            assert agent.stdin is not None
            assert agent.stdout is not None
            try:
                agent.stdin.write(given.encode())
                agent.stdin.close()
                yield from frames.read(agent.stdout)
            finally:
                agent.stdout.close()
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
        if agent.returncode:
            raise Rejected((lines or ["the agent broke off; run again"])[-1].removeprefix("error: "))
        notes += lines
