"""What `package --evaluate` needs around `controlplane.evaluating`: a release folder in, one that tells its worth out.

Nothing is printed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from controlplane.cli import packing, trying, variants
from controlplane.cli.bars import Shares
from controlplane.evaluating import profile, service
from controlplane.gate.runner import Gate
from controlplane.quantizing import datasets, domain, folder
from controlplane.quantizing.frames import Frame
from protos import ids
from protos.errors import Rejected
from protos.judged import Judged
from protos.manifest import ImageInput, Manifest


@dataclass(frozen=True)
class Wish:
    """`dataset`: labelled pictures. `calibrated`: what a variant was calibrated on, of which no picture judges."""

    dataset: Path
    calibrated: Path | None = None
    version: str = ""
    gate: Gate = field(default_factory=Gate)


@dataclass(frozen=True)
class Made:
    manifest: Manifest
    judged: Judged
    notes: tuple[str, ...]


def make(release: Path, wish: Wish, target: Path, progress: Shares) -> Made:
    """Write `target`: the release at `release`, with what it is worth in its manifest.

    Raises:
        Rejected: nothing to judge by, or next to nothing of it is found; nothing is written.
        Fatal: this environment has no agent.
    """
    trying.check_agent()
    packing.check_free(target)
    manifest = folder.read_whole(release)
    image = _image(manifest)
    for number, variant in enumerate(manifest.variants):
        progress("checking that its graphs are harmless", number / len(manifest.variants))
        packing.check_harmless(release / variant.file, wish.gate)
    notes: list[str] = []
    judged = service.evaluate(_job(release, manifest, image, wish, notes), progress)
    told = replace(manifest, judged=judged, version=ids.version(wish.version) if wish.version else manifest.version)
    folder.write_described(release, told, target)
    return Made(told, judged, tuple(dict.fromkeys(notes)))


def _image(manifest: Manifest) -> ImageInput:
    if manifest.task == "tensor" or manifest.input is None:
        raise Rejected("a tensor release takes no pictures that it could be evaluated on; leave --evaluate out")
    return manifest.input


def _job(release: Path, manifest: Manifest, image: ImageInput, wish: Wish, notes: list[str]) -> service.Job:
    dataset = datasets.opened(wish.dataset, manifest.task, manifest.labels).without(_used(wish, image))
    if not dataset.pictures:
        raise Rejected("every labelled picture is one that was calibrated on; give others to --evaluate")
    notes += variants.left_out(dataset)

    def pictures(paths: Sequence[Path], ways: Sequence[profile.Sent]) -> Iterable[Frame]:
        return variants.pictures_of(release, [str(path) for path in paths], notes, ways)()

    return service.Job(
        task=manifest.task,
        dataset=dataset,
        graphs={variant.name: release / variant.file for variant in manifest.variants},
        first=manifest.variant("fp32").name,
        pictures=pictures,
        ways=profile.grid(image),
    )


def _used(wish: Wish, image: ImageInput) -> set[Path]:
    """Of a film no picture is among the labelled ones."""
    if wish.calibrated is None or not wish.calibrated.is_dir():
        return set()
    count = min(variants.room(image), domain.CALIBRATION)
    return {path.resolve() for path in variants.taken_from(wish.calibrated, count)}
