"""The int8 part of `longshore package`: its options, what it makes of a release folder, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from controlplane.cli.bars import shares
from controlplane.cli.kinds import human_bytes
from controlplane.cli.output import table

if TYPE_CHECKING:  # numpy and more, which no other use of `package` needs
    from controlplane.quantizing.service import Int8

Command = Callable[..., None]
MOST_NOTES = 5  # lines: a dataset may miss a thousand pictures
_OF_RELEASES = frozenset({"model", "version", "target", "int8", "calibrate", "evaluate", "exclude"})
OPTIONS = (
    click.option("--int8", is_flag=True, help="Add an int8 variant, if it keeps 99 % of fp32's quality."),
    click.option(
        "--calibrate",
        type=click.Path(path_type=Path, exists=True),
        help="For --int8: a video, or a folder of pictures, of what the cameras see.",
    ),
    click.option(
        "--evaluate",
        type=click.Path(path_type=Path, exists=True),
        help="For --int8: labelled pictures (COCO, YOLO, class folders) [default: agreement with fp32].",
    ),
    click.option(
        "--exclude", multiple=True, metavar="NODE", help="For --int8: layers to leave in fp32, such as '*cls*'."
    ),
)


@dataclass(frozen=True)
class Asked:
    """`calibrate` is None where no int8 was asked for."""

    calibrate: Path | None
    evaluate: Path | None
    exclude: tuple[str, ...]


def asked(options: dict[str, Any]) -> Asked:
    """Takes its own options out of `options`. Raises UsageError where they do not go together."""
    wanted, calibrate, evaluate, exclude = (options.pop(name) for name in ("int8", "calibrate", "evaluate", "exclude"))
    if wanted and calibrate is None:
        raise click.UsageError("--int8 needs --calibrate: a video or a folder of pictures of what the cameras see")
    if not wanted and (calibrate or evaluate or exclude):
        raise click.UsageError("--calibrate, --evaluate and --exclude belong to --int8; add it")
    return Asked(calibrate, evaluate, exclude)


def of_release(release: Path, wish: Asked, version: str | None, target: Path | None) -> None:
    """`longshore package RELEASE --int8 …`."""
    if wish.calibrate is None:
        raise click.UsageError(
            f"{release} is a folder; a release gets --int8 --calibrate SOURCE, and a model is a .onnx file"
        )
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
    from controlplane.cli import int8

    assert wish.calibrate is not None
    with shares() as progress:
        sources = int8.Wish(wish.calibrate, wish.evaluate, wish.exclude, version or "")
        made = int8.make(release, sources, target, progress)
    variants = ", ".join(variant.name for variant in made.manifest.variants)
    click.echo(f"{target}: {made.manifest.name} {made.manifest.version}, variants {variants}\n")
    click.echo(f"{_report(made.int8)}\n")
    for note in made.notes[:MOST_NOTES]:
        click.echo(note)
    if len(made.notes) > MOST_NOTES:
        click.echo(f"… and {len(made.notes) - MOST_NOTES} more such lines")
    click.echo(f"next: longshore try {target} --source {wish.calibrate} --variant int8")


def _report(made: Int8) -> str:
    from controlplane.quantizing.domain import speed_sentence

    measure, fp32, int8 = made.measure, made.fp32_cost, made.int8_cost
    rows = [
        (measure.name, f"{measure.fp32:.4f}", f"{measure.int8:.4f}", f"{measure.share:.1%}"),
        ("one picture", f"{fp32.seconds * 1000:.2f} ms", f"{int8.seconds * 1000:.2f} ms", speed_sentence(fp32, int8)),
        ("size", human_bytes(fp32.size), human_bytes(int8.size), f"{int8.size / fp32.size:.0%}"),
    ]
    how = f"calibrated on {made.calibration} pictures, judged on {measure.pictures} others; {made.attempt.name}"
    return f"{table(('', 'FP32', 'INT8', ''), rows, colour=False)}\n{how}"


_COMMAND_LINE = click.core.ParameterSource.COMMANDLINE
