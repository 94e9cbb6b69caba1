"""Which pictures are trained on and which measure: the user's split, or a share of the pictures drawn by a seed.

Rules that hold here: the same content is never on both sides; a share is taken of every class, so that none is missing
from the measure while it has two pictures or more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.dataset.items import Item, Problems
from models.dataset.pictures import Seen
from protos.errors import Rejected

LEAST, MOST = 0.02, 0.5  # share for the measure


@dataclass(frozen=True)
class Split:
    train: tuple[Seen, ...]
    val: tuple[Seen, ...]


def check_leaks(seen: Sequence[Seen], val: frozenset[Item], problems: Problems) -> None:
    """A picture that the user's split has on both sides is a problem."""
    training = {picture.digest: picture.item.picture for picture in seen if picture.item not in val}
    for picture in seen:
        twin = training.get(picture.digest)
        if picture.item in val and twin is not None:
            here = picture.item.picture
            problems.add(here, f"the same picture is in the training set, as {twin}", picture=here)


def given(seen: Sequence[Seen], val: frozenset[Item]) -> Split:
    """Both sides in the order of their content, so that the first few are any few."""
    ordered = sorted(seen, key=lambda picture: (picture.digest, picture.item.picture))
    return Split(
        tuple(picture for picture in ordered if picture.item not in val),
        tuple(picture for picture in ordered if picture.item in val),
    )


def drawn(seen: Sequence[Seen], share: float, seed: int) -> Split:
    """`share` of the pictures of each class for the measure, twins together.

    Raises:
        Rejected: the share is not between 2 and 50 %.
    """
    if not LEAST <= share <= MOST:
        raise Rejected(f"setting val: {share:g} is not between {LEAST} and {MOST}, the share of pictures to measure on")
    rng = np.random.default_rng(seed)
    rarest = _rarest(seen)
    groups: dict[int, dict[str, list[Seen]]] = {}
    for picture in sorted(seen, key=lambda each: each.digest):
        groups.setdefault(rarest.get(picture.digest, -1), {}).setdefault(picture.digest, []).append(picture)
    val: set[str] = set()
    for _, twins in sorted(groups.items()):
        order = rng.permutation(sorted(twins))
        count = max(1, round(len(order) * share)) if len(order) > 1 else 0
        val |= {str(digest) for digest in order[:count]}
    chosen = frozenset(picture.item for picture in seen if picture.digest in val)
    return given(seen, chosen)


def _rarest(seen: Sequence[Seen]) -> dict[str, int]:
    """For each content the class it holds that the fewest pictures hold."""
    holders: dict[int, int] = {}
    for picture in seen:
        for label in set(picture.item.classes):
            holders[label] = holders.get(label, 0) + 1
    return {
        picture.digest: min(picture.item.classes, key=lambda label: (holders[label], label))
        for picture in seen
        if picture.item.classes
    }
