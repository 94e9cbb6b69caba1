"""What the packaged release is worth: the held-out scenes drawn as a labelled data set for `models.worth`."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from agent.cameras.harbour_scene import Truth
from models.dataset.held_out import row
from models.harbour.plan import LABELS
from models.harbour.scenes import held_out
from models.worth import Breathe, section

LEAST_SCENES = 32  # that `package --evaluate` judges by


def worth(release: Path, python: str, scenes: int | None = None, breathe: Breathe = lambda: None) -> dict[str, Any]:
    """The section, of all held-out scenes or the first so many. `python`: of an environment with both planes.

    Raises:
        Rejected: the command refused, with what it said.
    """
    with tempfile.TemporaryDirectory(prefix="harbour-") as place:
        draw(Path(place) / "drawn", scenes)
        return section(release, Path(place) / "drawn", python, breathe)


def draw(folder: Path, scenes: int | None = None) -> None:
    """The held-out scenes as a YOLO folder."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for seed, picture, truths in held_out(scenes):
        file = folder / "images" / f"{seed}.png"
        cv2.imwrite(str(file), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        (folder / "labels" / f"{seed}.txt").write_text(rows(truths))


def rows(truths: Sequence[Truth]) -> str:
    return "".join(row(LABELS.index(truth.label), truth.box) for truth in truths)
