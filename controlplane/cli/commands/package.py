"""`longshore package`: a release folder from an ONNX file, to be looked at, kept and pushed."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from controlplane.cli import packing
from controlplane.cli.commands import package_variants
from controlplane.gate.allowed import operators_in
from controlplane.gate.runner import Gate
from controlplane.packaging import wish as wishes
from controlplane.packaging.recognition import HEADS
from controlplane.packaging.seen import counted
from protos.errors import Rejected
from protos.manifest import FITS

EXAMPLES = """Make a release folder (manifest, model, labels, card) from an ONNX file.

A detector or a classifier of any maker is brought into the form that boxes run: a picture as it is goes in, the best
boxes or the scores come out, and everything between (pixels, grids, anchors, overlap) is inside the graph. What it
takes and gives is recognised where the file shows it; --inspect says what is seen and makes nothing. Any other graph
becomes a tensor model, which applications beside the box can call.

--int8 adds a second, smaller and on CPUs mostly faster variant of the same model, --fp16 one for GPUs, also to a
release that was made before; boxes choose. Each is kept only when it holds 99 % of fp32's quality, int8 on pictures
that it was not calibrated on.

--lighter adds a smaller model of the same classes and the same pictures. A box runs it for the frames that it has no
time to answer with the full one, and chooses anew for each.

--evaluate measures on labelled pictures what the release is worth (its metric, how far scores can be trusted, what
JPEG does to it) and writes it into the manifest, by which boxes choose what a cloud node should look at.

\b
Examples:
  longshore package yolo11n.onnx --inspect
  longshore package yolo11n.onnx --name people --version 1.0.0 --head yolov8 -o people-1.0.0
  longshore package yolox_s.onnx --name boats --version 1.0.0 --head yolox --labels labels.txt -o boats-1.0.0
  longshore package resnet50.onnx --name sorter --version 2 --task classification --labels labels.txt -o sorter-2
  longshore package speech.onnx --name speech --version 2026-11-23 --task tensor -o speech
  longshore package boats-1.0.0 --int8 --calibrate quay.mp4 --evaluate labelled/ --version 1.1.0 -o boats-1.1.0
  longshore package yolo11m.onnx --lighter small=yolo11n.onnx --evaluate labelled/ --name people --version 2 -o people-2
  longshore package boats-1.0.0 --fp16 --evaluate labelled/ --version 1.1.0 -o boats-1.1.0
  longshore package boats-1.0.0 --evaluate labelled/ --version 1.0.1 -o boats-1.0.1
  longshore push boats-1.0.0
"""
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_SIZE = re.compile(r"(\d{1,4})(?:[xX×](\d{1,4}))?")
Command = Callable[..., None]


class Size(click.ParamType[tuple[int, int]]):
    """`640` or `640x384`, width × height → (height, width)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        match = _SIZE.fullmatch(str(value))
        if match is None or 0 in (sides := (int(match[2] or match[1]), int(match[1]))):
            self.fail(f"{value!r} is no size; say 640, or 640x384 as width x height", param, ctx)
        return sides


class Numbers(click.ParamType[tuple[float, ...]]):
    """`1,2.5,3`."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            return tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers; say for example 123.7,116.3,103.5", param, ctx)


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_graph = _options(
    click.option("--task", type=click.Choice(wishes.TASKS), help="What it is for; recognised where it shows."),
    click.option("--head", type=click.Choice(list(HEADS)), help="How a detector writes its boxes; recognised too."),
    click.option("--size", type=Size(), help="Of the pictures, 640 or 640x384 (width x height), where it is free."),
    click.option("--fit", type=click.Choice(FITS), help="How a picture gets to that size."),
    click.option("--pixels", type=click.Choice(list(wishes.PRESETS)), help="0..255, 0..1, -1..1, or ImageNet's."),
    click.option("--mean", type=Numbers(), help="Taken from pixels of 0..255: one number, or one a channel."),
    click.option("--scale", type=Numbers(), help="Then pixels are divided by it: one number, or one a channel."),
    click.option("--channels", type=click.Choice(wishes.CHANNELS), help="The order the graph takes."),
    click.option("--layout", type=click.Choice(wishes.LAYOUTS), help="Where channels lie, where it cannot be seen."),
)
_boxes = _options(
    click.option("--score", type=float, default=0.05, show_default=True, help="Candidates below it are not given."),
    click.option("--iou", type=float, help="Boxes of a class that overlap by more are one object."),
    click.option("--top-k", type=int, default=100, show_default=True, help="The most boxes of a picture."),
    click.option("--anchors", type=Numbers(), help="Of bare yolov5 maps: w,h,… in pixels, from the finest map on."),
    click.option("--box", "order", type=click.Choice(wishes.ORDERS), help="What the four numbers of a box are."),
    click.option("--units", type=click.Choice(wishes.UNITS), help="And in what: 0..1 of the input, or pixels of it."),
    click.option("--background", type=click.Choice(wishes.BACKGROUNDS), help="Where the class 'nothing' stands."),
    click.option("--ending", type=click.Choice(wishes.ENDINGS), help="What is to be done to scores."),
)


@click.command("package", help=EXAMPLES)
@click.argument("model", type=click.Path(path_type=Path, exists=True), metavar="FILE.onnx|RELEASE")
@click.option("--inspect", is_flag=True, help="Say what is seen and what would be done; make nothing.")
@click.option("--name", help="Name of the model line: a-z, 0-9 and '-'.")
@click.option("--version", help="Version of this release; immutable once pushed.")
@click.option("--labels", type=_FILE, help="Class names, one a line; else those that the exporter noted.")
@click.option("--card", type=_FILE, help="Model card, Markdown.")
@click.option("--precision", help="fp32, fp16 or int8; else as the weights are.")
@click.option("--allow-operator", multiple=True, metavar="DOMAIN:OPERATOR", help="Beside those that the gate knows.")
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), help="Folder to make.")
@_graph
@_boxes
@_options(*package_variants.OPTIONS)
def command(
    model: Path,
    inspect: bool,  # noqa: FBT001 - click passes flags by name
    name: str | None,
    version: str | None,
    target: Path | None,
    **options: Any,
) -> None:
    gate = Gate(operators_in(",".join(options.pop("allow_operator"))))
    variants = package_variants.asked(options)
    if model.is_dir():
        package_variants.of_release(model, replace(variants, gate=gate), version, target)
        return
    files = {name: options.pop(name) for name in ("labels", "card", "precision")}
    labels, card, precision = files.values()
    named = packing.labels_in(_text(labels), labels) if labels else ()
    graph = wishes.Wish(labels=named, **options)
    if inspect:
        usual = re.sub(r"[^a-z0-9]+", "-", model.stem.lower()).strip("-") or "model"
        said = [word for option, value in files.items() if value for word in (f"--{option}", str(value))]
        click.echo(
            "\n".join(packing.inspect(model, packing.Wish(name or usual, version or "1.0.0", graph, gate=gate), said))
        )
        return
    missing = [flag for flag, value in (("--name", name), ("--version", version), ("-o", target)) if not value]
    if not name or not version or not target:
        raise click.UsageError(f"{', '.join(missing)} wanted; or --inspect to look at {model.name} first")
    wish = packing.Wish(name, version, graph, precision, _text(card) if card else "", gate)
    if not variants.anything:
        _say(packing.package(model, wish, target), target)
        click.echo(f"next: longshore push {target}")
        return
    packing.check_free(target)
    with tempfile.TemporaryDirectory(prefix="longshore-package-") as place:
        fp32 = Path(place) / "release"
        made = packing.package(model, wish, fp32)
        lighter = {
            size: _release(each, wish, Path(place) / f"lighter-{size}") for size, each in variants.lighter.items()
        }
        package_variants.make(fp32, replace(variants, gate=gate, lighter=lighter), None, target)
        _say(made, target)  # last, for before it was not sure that there is anything


def _release(model: Path, wish: packing.Wish, folder: Path) -> Path:
    """The release that `model` is, or else is made into, as the wish is for the full size."""
    if model.is_file():
        packing.package(model, wish, folder)
        return folder
    return model


def _say(made: packing.Made, target: Path) -> None:
    release = made.manifest
    if release.input is None:
        what = "a tensor model"
    else:
        what = f"a {release.task} model on {release.input.width}×{release.input.height} pictures, "
        what += counted(len(release.labels))
    click.echo(f"{target}: {release.name} {release.version}, {what}")
    for note in made.notes:
        click.echo(f"  {note}")
    if release.task == "classification":
        click.echo("  cameras are looked at by detectors; a classifier answers applications that send it pictures")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(f"cannot read {path} as text; save it as UTF-8") from error
