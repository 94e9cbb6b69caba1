"""The part of `longshore package` that adds to a release: its options, what it makes of a folder, what it says.

It adds lighter sizes and variants, and it measures what a release is worth; one after the other, as it is asked for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from controlplane.cli import worth
from controlplane.cli.bars import shares
from controlplane.cli.kinds import human_bytes
from controlplane.cli.output import table
from controlplane.gate.runner import Gate

if TYPE_CHECKING:  # numpy and more, which no other use of `package` needs
    from controlplane.cli.evaluating import Made as Evaluated
    from controlplane.cli.variants import Made
    from controlplane.quantizing.service import Passed
    from protos.manifest import Manifest

Command = Callable[..., None]
MOST_NOTES = 5  # lines: a dataset may miss a thousand pictures
_OF_VARIANTS = ("lighter", "int8", "fp16", "calibrate", "evaluate", "exclude")
_OF_RELEASES = frozenset({"model", "version", "target", "allow_operator", *_OF_VARIANTS})
OPTIONS = (
    click.option(
        "--lighter",
        multiple=True,
        metavar="NAME=FILE|RELEASE",
        help="Add a lighter size of the model, which boxes run when they have no time for the full one.",
    ),
    click.option("--int8", is_flag=True, help="Add an int8 variant, if it keeps 99 % of fp32's quality."),
    click.option("--fp16", is_flag=True, help="Add an fp16 variant, for GPUs, if it keeps 99 % of fp32's quality."),
    click.option(
        "--calibrate",
        type=click.Path(path_type=Path, exists=True),
        help="A video, or a folder of pictures, of what the cameras see; int8 is calibrated on it.",
    ),
    click.option(
        "--evaluate",
        type=click.Path(path_type=Path, exists=True),
        help="Labelled pictures (COCO, YOLO, class folders): what the release is worth is measured and goes with it.",
    ),
    click.option("--exclude", multiple=True, metavar="NODE", help="Layers to leave in fp32, such as '*cls*'."),
)


@dataclass(frozen=True)
class Asked:
    """`precisions` is empty where no variant was asked for."""

    precisions: tuple[str, ...]
    calibrate: Path | None
    evaluate: Path | None
    exclude: tuple[str, ...]
    lighter: Mapping[str, Path] = field(default_factory=dict)  # by size: a file, or a release
    gate: Gate = field(default_factory=Gate)

    @property
    def anything(self) -> bool:
        return bool(self.precisions or self.evaluate or self.lighter)


def asked(options: dict[str, Any]) -> Asked:
    """Takes its own options out of `options`. Raises UsageError where they do not go together, Rejected."""
    sizes, int8, fp16, calibrate, evaluate, exclude = (options.pop(name) for name in _OF_VARIANTS)
    if int8 and calibrate is None:
        raise click.UsageError("--int8 needs --calibrate: a video or a folder of pictures of what the cameras see")
    if fp16 and calibrate is None and evaluate is None:
        raise click.UsageError("--fp16 needs pictures to be judged by: --evaluate labelled ones, or --calibrate others")
    if not int8 and not fp16 and (calibrate or exclude):
        raise click.UsageError("--calibrate and --exclude belong to --int8 and --fp16; add one")
    precisions = (*(("fp16",) if fp16 else ()), *(("int8",) if int8 else ()))
    return Asked(precisions, calibrate, evaluate, exclude, _lighter(sizes) if sizes else {})


def _lighter(words: Sequence[str]) -> Mapping[str, Path]:
    from controlplane.cli import lighter

    return lighter.named(words)


def of_release(release: Path, wish: Asked, version: str | None, target: Path | None) -> None:
    """`longshore package RELEASE --lighter …`, `--int8 …` or `--evaluate …`."""
    if not wish.anything:
        raise click.UsageError(
            f"{release} is a folder; a release gets --int8 or --fp16 with --calibrate SOURCE, --evaluate LABELLED, or "
            "--lighter NAME=RELEASE; a model is a .onnx file"
        )
    if files := [place for place in wish.lighter.values() if place.is_file()]:
        raise click.UsageError(f"{release} is a release, and so must be its lighter sizes: package {files[0]} first")
    if target is None:
        raise click.UsageError("-o wanted: the folder to make; the release that is there stays as it is")
    context = click.get_current_context()
    given = [name for name in context.params if context.get_parameter_source(name) is _COMMAND_LINE]
    if foreign := [name for name in given if name not in _OF_RELEASES]:
        raise click.UsageError(f"--{foreign[0].replace('_', '-')} is for a .onnx file; {release} is a release already")
    make(release, wish, version, target)
    if version is None:
        click.echo("it is another release than the one before; was that pushed, this one needs a --version of its own")


def make(release: Path, wish: Asked, version: str | None, target: Path) -> None:
    """Lighter sizes, one variant after the other, then what all are worth; nothing is kept unless all steps pass."""
    from controlplane.cli import evaluating, lighter, packing, variants

    packing.check_free(target)
    made: list[Made] = []
    evaluated: Evaluated | None = None
    sized: Manifest | None = None
    with tempfile.TemporaryDirectory(prefix="longshore-package-") as place, shares() as progress:
        source = release
        if wish.lighter:
            here = Path(place) / "sizes" if wish.precisions or wish.evaluate else target
            sized = lighter.make(source, lighter.Wish(wish.lighter, version or "", wish.gate), here)
            source = here
        for precision in wish.precisions:
            last = precision == wish.precisions[-1] and not wish.evaluate
            here = target if last else Path(place) / precision
            one = variants.Wish(precision, wish.calibrate, wish.evaluate, wish.exclude, version or "", wish.gate)
            made.append(variants.make(source, one, here, progress))
            source = here
        if wish.evaluate:
            asked_for = evaluating.Wish(wish.evaluate, wish.calibrate, version or "", wish.gate)
            evaluated = evaluating.make(source, asked_for, target, progress)
    described = evaluated.manifest if evaluated else made[-1].manifest if made else sized
    assert described is not None  # `Asked.anything`
    _say(described, made, evaluated, wish, target)


def _say(release: Manifest, made: list[Made], evaluated: Evaluated | None, wish: Asked, target: Path) -> None:
    variants = ", ".join(variant.name for variant in release.variants)
    click.echo(f"{target}: {release.name} {release.version}, variants {variants}\n")
    for each in made:
        click.echo(f"{_report(each.passed)}\n")
    if evaluated:
        click.echo("\n".join(worth.lines(evaluated.judged)) + "\n")
        for doubt in worth.doubts(evaluated.judged, release.variants):
            click.echo(doubt)
    elif wish.lighter:
        from controlplane.cli import lighter

        click.echo("".join(f"{doubt}\n" for doubt in lighter.heavier(release)), nl=False)
    told = [note for each in made for note in each.notes] + list(evaluated.notes if evaluated else ())
    notes = list(dict.fromkeys(told))
    for note in notes[:MOST_NOTES]:
        click.echo(note)
    if len(notes) > MOST_NOTES:
        click.echo(f"… and {len(notes) - MOST_NOTES} more such lines")
    if wish.precisions:
        click.echo(f"next: longshore try {target} --source {wish.calibrate or 'VIDEO'} --variant {wish.precisions[-1]}")
    else:
        click.echo(f"next: longshore push {target}")


def _report(made: Passed) -> str:
    from controlplane.quantizing.domain import speed_sentence

    measure, fp32, cost = made.measure, made.fp32_cost, made.cost
    rows = [
        (measure.name, f"{measure.fp32:.4f}", f"{measure.variant:.4f}", f"{measure.share:.1%}"),
        ("one picture", f"{fp32.seconds * 1000:.2f} ms", f"{cost.seconds * 1000:.2f} ms", speed_sentence(fp32, cost)),
        ("size", human_bytes(fp32.size), human_bytes(cost.size), f"{cost.size / fp32.size:.0%}"),
    ]
    how = f"judged on {measure.pictures} pictures; {made.attempt.name}"
    if made.calibration:
        how = f"calibrated on {made.calibration} pictures, judged on {measure.pictures} others; {made.attempt.name}"
    return f"{table(('', 'FP32', made.precision.upper(), ''), rows, colour=False)}\n{how}"


_COMMAND_LINE = click.core.ParameterSource.COMMANDLINE
