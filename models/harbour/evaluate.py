"""How good the packaged release is on the held-out scenes.

Rules that hold here: the published number comes from `longshore-agent predict`, a process of its own that decodes,
letterboxes and infers exactly as on an edge box; `--direct` is a short cut for development that needs onnxruntime only.
A predictor gets the release and a folder of PNG files and gives, for every file, the line that the agent writes:
{"image": name, "boxes": [[x0, y0, x1, y1], …] in 0..1 of the picture, "scores": […], "classes": […]}.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.cameras.harbour_scene import CLASSES, Truth
from models.harbour.scenes import HELD_OUT_SEEDS, OCCLUDED, SMALL, held_out, letterbox, longer_side
from models.metric import Found, average_precision

Record = dict[str, Any]
Predictor = Callable[[Path, Path], list[Record]]
Told = Callable[[int, int], None]  # scenes done, of how many

REPOSITORY = Path(__file__).parents[2]
CHUNK = 128  # pictures on disk at a time, about 45 MB


@dataclass(frozen=True)
class Report:
    """What was measured; shares are of the truths."""

    scenes: int
    objects: int
    occluded: float
    small: float
    ap50: dict[str, float]
    path: str  # which predictor

    @property
    def map50(self) -> float:
        return sum(self.ap50.values()) / len(self.ap50)

    def table(self) -> str:
        rows = [f"  {label:<10} {value:.3f}" for label, value in self.ap50.items()]
        head = f"{self.scenes} held-out scenes, {self.objects} objects: "
        shares = f"{self.occluded:.1%} occluded, {self.small:.1%} small"
        return "\n".join([head + shares, *rows, f"  {'mAP50':<10} {self.map50:.3f}  ({self.path})"])


def evaluate(
    release: Path,
    predictor: Predictor,
    count: int | None = None,
    path: str = "agent",
    told: Told = lambda *_: None,
) -> Report:
    """Measure the release on the held-out scenes, or on the first `count` of them. `told` may raise to end it."""
    truths: list[list[Truth]] = []
    records: list[Record] = []
    for chunk in _chunks(count, told):
        with tempfile.TemporaryDirectory(prefix="harbour-") as folder:
            names = [_write(Path(folder), seed, picture) for seed, picture, _ in chunk]
            answers = {record["image"]: record for record in predictor(release, Path(folder))}
        if errors := [record["error"] for record in answers.values() if "error" in record]:
            raise RuntimeError(f"{len(errors)} pictures were not evaluated, the first because: {errors[0]}")
        records += [answers[name] for name in names]
        truths += [truth for _, _, truth in chunk]
    return report(records, truths, path)


def report(records: list[Record], truths: list[list[Truth]], path: str) -> Report:
    every = [truth for picture in truths for truth in picture]
    ap50 = {
        label: average_precision(
            [_found(record, number) for record in records], [_true(picture, label) for picture in truths]
        )
        for number, label in enumerate(CLASSES)
    }
    return Report(
        scenes=len(truths),
        objects=len(every),
        occluded=sum(truth.visible < OCCLUDED for truth in every) / len(every),
        small=sum(longer_side(truth) < SMALL for truth in every) / len(every),
        ap50=ap50,
        path=path,
    )


def agent_predictor(python: str = sys.executable) -> Predictor:
    """The agent's own decode and inference path, in the interpreter `python`."""

    def predict(release: Path, images: Path) -> list[Record]:
        output = images / "results.jsonl"
        files = [str(release), "--images", str(images), "--output", str(output)]
        subprocess.run([python, "-m", "agent.main", "predict", *files], check=True, cwd=REPOSITORY)
        return [json.loads(line) for line in output.read_text().splitlines()]

    return predict


def direct_predictor(release: Path, images: Path) -> list[Record]:
    """onnxruntime and our own letterbox, nothing of the agent."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(release / "model.onnx", options, providers=["CPUExecutionProvider"])
    return [_direct(session, file) for file in sorted(images.glob("*.png"))]


def _direct(session: Any, file: Path) -> Record:
    picture = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
    boxes, scores, classes = session.run(["boxes", "scores", "classes"], {"image": letterbox(picture)[None]})
    height, width = picture.shape[:2]
    inner = np.array([width, height]) / max(height, width)
    corners = (boxes[0].reshape(-1, 2) - (1 - inner) / 2) / inner
    return {
        "image": file.name,
        "boxes": np.clip(corners, 0, 1).reshape(-1, 4).tolist(),
        "scores": scores[0].tolist(),
        "classes": classes[0].tolist(),
    }


def _chunks(count: int | None, told: Told) -> Iterator[list[tuple[int, Any, list[Truth]]]]:
    chunk, of = [], len(HELD_OUT_SEEDS[:count])
    for number, scene in enumerate(held_out(count)):
        told(number, of)
        chunk.append(scene)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
    told(of, of)


def _write(folder: Path, seed: int, picture: Any) -> str:
    name = f"{seed}.png"
    cv2.imwrite(str(folder / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return name


def _found(record: Record, number: int) -> Found:
    chosen = np.asarray(record["classes"], np.int64) == number
    boxes = np.asarray(record["boxes"], np.float64).reshape(-1, 4)
    return Found(boxes[chosen], np.asarray(record["scores"], np.float64)[chosen])


def _true(picture: list[Truth], label: str) -> Found:
    boxes = np.array([truth.box for truth in picture if truth.label == label], np.float64).reshape(-1, 4)
    return Found(boxes, np.ones(len(boxes)))
