"""What `package --int8` and `--fp16` need around `controlplane.quantizing`: pictures, sources told apart.

Pictures are decoded and fitted by `longshore-agent frames`, so that calibration and judgement see what a box sees.
Nothing is printed here.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from controlplane.cli import packing, trying
from controlplane.cli.bars import Shares
from controlplane.gate.runner import Gate, Use
from controlplane.quantizing import datasets, domain, folder, frames, service
from controlplane.quantizing.datasets import Dataset
from controlplane.quantizing.frames import Frame
from controlplane.quantizing.judges import judge
from controlplane.quantizing.service import Passed
from protos import ids
from protos.errors import Rejected
from protos.manifest import ImageInput, Manifest

MOST_BYTES = 768 << 20  # of pictures held at once


@dataclass(frozen=True)
class Wish:
    """`pictures`: a video or folder of pictures. `evaluate`: a dataset, or None to judge by agreement with fp32.

    Int8 is calibrated on `pictures`; fp16 takes none of them where there is `evaluate`.
    """

    precision: str
    pictures: Path | None
    evaluate: Path | None = None
    exclude: tuple[str, ...] = ()
    version: str = ""
    gate: Gate = field(default_factory=Gate)


@dataclass(frozen=True)
class Made:
    manifest: Manifest
    passed: Passed
    notes: tuple[str, ...]


def make(release: Path, wish: Wish, target: Path, progress: Shares) -> Made:
    """Write `target`: the release at `release` with one more variant, which passed the gate.

    Raises:
        Rejected: nothing to calibrate or to judge by, or the gate refused; nothing is written.
        Fatal: this environment has no agent.
    """
    trying.check_agent()
    packing.check_free(target)
    manifest = folder.read(release, wish.precision)
    packing.check_harmless(release / folder.fp32_of(manifest).file, wish.gate)
    if wish.version:
        manifest = replace(manifest, version=ids.version(wish.version))
    notes: list[str] = []
    job = _job(release, manifest, wish, notes, progress)
    with tempfile.TemporaryDirectory(prefix="longshore-variant-") as place:
        model = Path(place) / "made.onnx"
        passed = service.make(job, model, progress)
        measured = packing.measured(model, wish.gate, Use(manifest.task, manifest.input))
        made = folder.write(release, manifest, model, passed, measured, target)
    return Made(made, passed, tuple(dict.fromkeys(notes)))


def _job(release: Path, manifest: Manifest, wish: Wish, notes: list[str], progress: Shares) -> service.Job:
    assert manifest.input is not None  # `folder.read` has refused the others
    sources = _labelled if wish.evaluate else _unlabelled
    calibration, judged, dataset = sources(release, manifest, wish, room(manifest.input), _Told(notes, progress))
    return service.Job(
        wish.precision,
        release / folder.fp32_of(manifest).file,
        calibration,
        judged,
        judge(manifest.task, dataset),
        wish.exclude,
        tuple(release / variant.file for variant in folder.beside_of(manifest)),
    )


@dataclass(frozen=True)
class _Told:
    """Whom to tell what happens on the way."""

    notes: list[str]
    progress: Shares


_Sources = tuple[Sequence[Frame], Callable[[], Iterable[Frame]], Dataset | None]


def _unlabelled(release: Path, _manifest: Manifest, wish: Wish, room: int, told: _Told) -> _Sources:
    assert wish.pictures is not None
    if wish.precision != domain.INT8:
        calibration, out = list[Frame](), _taken(release, wish.pictures, min(room, domain.CALIBRATION), told)
    else:
        wanted = min(room, domain.CALIBRATION * domain.HELD_OUT // (domain.HELD_OUT - 1))
        held = _taken(release, wish.pictures, wanted, told)
        calibration, out = domain.held_out(held, film=wish.pictures.is_file())
    kept = [replace(frame, share=number / len(out)) for number, frame in enumerate(out, 1)]
    return calibration, lambda: kept, None


def _labelled(release: Path, manifest: Manifest, wish: Wish, room: int, told: _Told) -> _Sources:
    assert wish.evaluate is not None
    dataset = datasets.opened(wish.evaluate, manifest.task, manifest.labels)
    calibration: list[Frame] = []
    if wish.precision == domain.INT8:
        assert wish.pictures is not None
        calibration = _taken(release, wish.pictures, min(room, domain.CALIBRATION), told)
    dataset = dataset.without({Path(frame.name).resolve() for frame in calibration})
    told.notes.extend(left_out(dataset))
    judged = pictures_of(release, [str(path) for path in dataset.pictures], told.notes)
    return calibration, judged, dataset


def left_out(dataset: Dataset) -> list[str]:
    """What to say of annotations that judge nothing."""
    if not dataset.unknown:
        return []
    many = "1 annotation was" if dataset.unknown == 1 else f"{dataset.unknown} annotations were"
    return [f"{many} left out: of classes that the release does not know"]


def taken_from(folder: Path, count: int = domain.CALIBRATION) -> list[Path]:
    """The pictures of a folder that are calibrated on. Raises Rejected when there is none."""
    return domain.spread(datasets.pictures_below(folder), count)


def room(image: ImageInput) -> int:
    """How many pictures of that size may be held at once."""
    return MOST_BYTES // (image.height * image.width * 3)


def _taken(release: Path, source: Path, count: int, told: _Told) -> list[Frame]:
    if not source.exists():
        raise Rejected(f"{source} is not there; --calibrate takes a video or a folder of pictures")
    if source.is_file():
        taken = _agent(["frames", str(release), "--film", str(source), "--count", str(count)], "", told.notes)
    else:
        taken = pictures_of(release, [str(path) for path in taken_from(source, count)], told.notes)()
    held = []
    for frame in taken:
        held.append(frame)
        told.progress("taking pictures", frame.share)
    if not held and told.notes:
        raise Rejected(f"no picture of {source} can be read ({told.notes[0]}); --calibrate wants JPEG, PNG or a video")
    return held


def pictures_of(
    release: Path, names: Sequence[str], notes: list[str], jpegs: Sequence[tuple[int, int]] = ()
) -> Callable[[], Iterator[Frame]]:
    """These pictures, as often as they are asked for; each as JPEGs of so much quality and so many pixels a side."""
    sent = [word for quality, side in jpegs for word in ("--jpeg", str(quality), str(side))]
    return lambda: _agent(["frames", str(release), *sent], "\n".join(names), notes)


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
