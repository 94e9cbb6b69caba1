"""The model card, written from the provenance alone.

Rules that hold here: no number in the card is typed by hand; a card without a measurement says so.
"""

from collections.abc import Mapping
from string import Template
from typing import Any

from models.harbour.plan import TOP

_CARD = Template("""\
# $name $version

A small object detector for the drawn harbour that Longshore's synthetic camera shows: boat, container, truck, person.
It exists so that everything from camera to rollout can be tried with a real model; it has never seen a photograph.

## Measured

$measured

## Input and output

| tensor | type | meaning |
|---|---|---|
| `image` | uint8 [N, 320, 320, 3] | RGB, letterboxed and centred, bars of grey 114 |
| `boxes` | float32 [N, $top, 4] | x0, y0, x1, y1 in 0..1 of the input |
| `scores` | float32 [N, $top] | descending; what is not a peak has 0 |
| `classes` | int64 [N, $top] | line of `labels.txt`, from 0 |

Peak picking is in the graph; there is no NMS. Everything is fp32, ONNX opset 17.

## Made from

| | |
|---|---|
| command | `$command` |
| seed | $seed |
| training scenes | $stills stills of harbours $first to $last |
| time on $machine | $draw min drawing, $fit min fitting; $cpu core minutes in all |
| torch | $torch |
| weights | sha256 `$weights` |

## Limits

Drawn pictures only, seen from one height, sixteen to nine. Objects hidden for more than three quarters are not counted
as present. Dense fog and unlit water at night are where it misses most.
""")


def card(provenance: Mapping[str, Any]) -> str:
    """The card in Markdown."""
    settings, (first, end) = provenance["settings"], provenance["training_seeds"]
    minutes = provenance["minutes"]
    return _CARD.substitute(
        top=TOP,
        name=provenance.get("model", "harbour"),
        version=provenance.get("version", "1.1.0"),
        machine=provenance.get("machine", "2 CPU cores"),
        measured=measured(provenance.get("metric")),
        command=provenance["command"],
        seed=settings["seed"],
        stills=provenance["stills"],
        first=first,
        last=end - 1,
        draw=minutes["draw"],
        fit=minutes["fit"],
        cpu=provenance["cpu_minutes"],
        torch=provenance["torch"],
        weights=provenance["weights_sha256"],
    )


def measured(metric: Mapping[str, Any] | None) -> str:
    """The table of average precision and what it was measured on."""
    if metric is None:
        return "Not measured yet: run `python -m models.harbour evaluate`."
    rows = [f"| {label} | {value:.3f} |" for label, value in metric["ap50"].items()]
    return "\n".join([
        "| class | AP50 |",
        "|---|---|",
        *rows,
        f"| **mAP50** | **{metric['map50']:.3f}** |",
        "",
        f"On {metric['scenes']} held-out scenes with {metric['objects']} objects, of which {metric['occluded']:.1%}",
        f"have more than a tenth hidden and {metric['small']:.1%} are under 24 px (longer side, at input size);",
        f"through the {metric['path']} path, on `model.onnx` with sha256",
        f"`{metric['onnx_sha256']}`.",
    ])  # fmt: skip
