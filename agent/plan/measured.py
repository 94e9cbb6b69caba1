"""What is known of a box and a release: by a bench's figures, a release's manifest, or an operator's word.

Rules that hold here: what was measured on the box counts more than what the release tells of the machine that packaged
it, and what somebody says at the command line counts most. A share of right answers that nobody measured is a prior.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.offload.profile import PRIOR, Profile
from agent.pipeline.worth import profile
from agent.plan.wish import Box, Cloud, seconds
from agent.simulation.contender import Picture, Size
from agent.update.variants import lighter
from protos import manifest as manifests
from protos.errors import Rejected
from protos.manifest import Manifest

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Figures:
    """Of a bench: the variant that a box runs, its seconds alone, calls that run at once, and seconds of the others."""

    release: str
    variant: str
    alone: float
    width: int
    interference: float
    others: Mapping[str, float] = field(default_factory=dict)


def named_sizes(words: Sequence[str]) -> tuple[Size, ...]:
    """`small=12ms:0.61` or `small=12ms`, cheapest first.

    Raises:
        Rejected: not of that form, or one name twice.
    """
    found: dict[str, Size] = {}
    for size in map(_named, words):
        if size.name in found:
            raise Rejected(f"--size {size.name} is given twice; a box has one size of a name, so name the other anew")
        found[size.name] = size
    return tuple(sorted(found.values(), key=lambda size: size.seconds))


def _named(word: str) -> Size:
    name, equals, rest = word.partition("=")
    took, colon, share = rest.partition(":")
    if not name or not equals or (colon and not _is_share(share)):
        raise Rejected(f'--size must be NAME=SECONDS:SHARE such as "small=12ms:0.61", not {word!r}')
    metric = float(share) if colon else PRIOR.sizes[0].metric
    cost = seconds(took, "the time of --size")
    if cost <= 0:
        raise Rejected(f"--size: a frame takes some time, not {took}")
    return Size(name, cost, metric)


def _is_share(text: str) -> bool:
    try:
        return 0.0 < float(text) < 1.0
    except ValueError:
        return False


def figures(path: Path) -> Figures:
    """The `figures.json` of `longshore bench`.

    Raises:
        Rejected: unreadable, or no such document.
    """
    document = _json(path)
    try:
        chosen = document["chosen"]
        one = next(each for each in document["variants"] if each["name"] == chosen)
        alone, width = float(one["alone"]["agent"]["medianSeconds"]), int(one["atOnce"]["rawThreads"])
        together = width / float(one["atOnce"]["agent"]["callsPerSecond"])
        others = {
            str(each["name"]): float(each["alone"]["agent"]["medianSeconds"])
            for each in document["variants"]
            if each is not one
        }
        return Figures(str(document["release"]), str(chosen), alone, width, max(1.0, together / alone), others)
    except (KeyError, TypeError, ValueError, StopIteration, ZeroDivisionError) as error:
        raise Rejected(f"{path} holds no figures of 'longshore bench'; make them with it, -o json") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise Rejected(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Rejected(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Rejected(f"{path} holds no figures of 'longshore bench'; make them with it, -o json")
    return found


def manifest(folder: Path) -> Manifest:
    """Of a release folder. Raises Rejected."""
    try:
        return manifests.parse((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise Rejected(f"{folder} is no release: its {MANIFEST} cannot be read ({error.strerror})") from error


def told(
    release: Manifest | None, measured: Figures | None, words: Sequence[str], cloud: float
) -> tuple[Box, Cloud, bool]:
    """The box, the cloud, and whether shares of right answers were measured. `cloud`: seconds of its inference.

    Raises:
        Rejected: nothing says how long a frame takes, or the release has no such variant.
    """
    variant = _variant(release, measured)
    known = profile(release.judged if release else None, variant)
    pictures = tuple(Picture(each.quality, each.max_side, each.bytes, each.metric) for each in known.jpeg)
    by_hand = bool(words) and all(":" in each for each in words)
    box = _box(release, measured, words, variant, known)
    if by_hand and not known.measured:
        best = max(known.cloud, *(size.metric for size in box.sizes))
        pictures = tuple(Picture(each.quality, each.max_side, each.nbytes, best) for each in pictures)
    return box, Cloud(cloud, pictures), known.measured or by_hand


def _variant(release: Manifest | None, measured: Figures | None) -> str:
    if measured is not None:
        return measured.variant
    return release.variants[0].name if release and release.variants else ""


def _box(release: Manifest | None, measured: Figures | None, words: Sequence[str], variant: str, known: Profile) -> Box:
    width, interference = (measured.width, measured.interference) if measured else (1, 1.0)
    if words:
        return Box(named_sizes(words), width, interference, "as told")
    metric = known.sizes[0].metric
    if measured is not None:
        sizes = _sizes(release, Size(variant, measured.alone, metric), measured.others)
        return Box(sizes, width, interference, f"{measured.release} as measured on the box")
    packaged = _packaged(release)
    if release is not None and variant in packaged:
        sizes = _sizes(release, Size(variant, packaged[variant], metric), packaged)
        return Box(sizes, says=f"{release.name} {release.version} as packaging measured it")
    raise Rejected(
        "nothing says how long a frame takes on this box: give --figures of 'longshore bench' run there, or --size"
        " such as --size small=12ms:0.61"
    )


def _packaged(release: Manifest | None) -> dict[str, float]:
    """Seconds of a frame alone by variant, where the release was made; those that nobody measured are not there."""
    judged = release.judged.variants if release and release.judged else ()
    return {each.name: (each.cost.frame + each.cost.call) / 1e6 for each in judged if each.cost is not None}


def _sizes(release: Manifest | None, full: Size, costs: Mapping[str, float]) -> tuple[Size, ...]:
    """The full size, and the lighter ones of which cost and share of right answers are known; cheapest first."""
    judged = release.judged if release else None
    told = (
        {each.name: judged.variant(each.name) for each in lighter(release.variants, "cpu")}
        if release and judged
        else {}
    )
    others = [Size(name, costs[name], each.right) for name, each in told.items() if each is not None and name in costs]
    return tuple(sorted([full, *others], key=lambda size: size.seconds))
