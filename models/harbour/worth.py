"""What the packaged release is worth, measured by `longshore package --evaluate` on the held-out scenes.

Rules that hold here: the recipe measures nothing of its own, it draws the scenes as a labelled data set and asks the
command that everybody has, a process of its own; what comes back is the section `judged` of the manifest as it stands.
Costs in it are of the machine that ran this, the rest is of the release.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from agent.cameras.harbour_scene import Truth
from models.harbour.evaluate import REPOSITORY
from models.harbour.plan import LABELS
from models.harbour.scenes import held_out

LEAST_SCENES = 32  # that `package --evaluate` judges by


def worth(release: Path, python: str, scenes: int | None = None) -> dict[str, Any]:
    """The section, of all held-out scenes or the first so many. `python`: of an environment with both planes.

    Raises:
        RuntimeError: the command refused, with what it said.
    """
    with tempfile.TemporaryDirectory(prefix="harbour-") as place:
        drawn, made = Path(place) / "drawn", Path(place) / "made"
        draw(drawn, scenes)
        words = ["package", str(release.absolute()), "--evaluate", str(drawn), "-o", str(made)]
        ran = subprocess.run(
            [python, "-m", "controlplane.cli.main", *words],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},  # the agent that it starts is this checkout's, too
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(f"the release was not evaluated: {ran.stderr.strip()}")
        print(ran.stdout.partition("\n")[2].partition("next:")[0].strip(), flush=True)
        section: dict[str, Any] = json.loads((made / "manifest.json").read_text())["judged"]
        return section


def draw(folder: Path, scenes: int | None = None) -> None:
    """The held-out scenes as a YOLO folder."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for seed, picture, truths in held_out(scenes):
        file = folder / "images" / f"{seed}.png"
        cv2.imwrite(str(file), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        (folder / "labels" / f"{seed}.txt").write_text(rows(truths))


def rows(truths: Sequence[Truth]) -> str:
    """`class x y width height` of each, in 0..1 of the picture."""
    return "".join(
        f"{LABELS.index(truth.label)} {(x0 + x1) / 2:.6f} {(y0 + y1) / 2:.6f} {x1 - x0:.6f} {y1 - y0:.6f}\n"
        for truth in truths
        for x0, y0, x1, y1 in (truth.box,)
    )
