"""`longshore-agent predict`: a release over a folder of pictures, through the very path that serves callers.

One JSON line per picture, in the order of their names: `{"image": name, "boxes": [[x0, y0, x1, y1], …], "scores": […],
"classes": […]}`, boxes normalised to the picture. A picture that cannot be read gives a line with `"error"`, and the
rest goes on.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
from pathlib import Path
from typing import Any

from agent.inference.contract import DETECTION
from agent.inference.datatypes import pack_bytes
from agent.inference.engine import OnnxEngine
from agent.inference.errors import BadInput
from agent.ports import Engine, EngineSpec, Tensor
from agent.release_folder import opened
from protos.errors import Rejected

SUFFIXES = (".jpg", ".jpeg", ".png")


def predict(release_dir: Path, images_dir: Path, output_path: Path, min_score: float = 0.0) -> int:
    """Write `output_path`; how many pictures were read.

    Raises:
        Rejected: the release is damaged, no detector or does not run, or the folder holds no picture.
        Retryable: this box is short of memory now, or the engine worker was killed.
        Fatal: no fitting ONNX Runtime is installed.
    """
    spec = load(release_dir, threads=os.cpu_count() or 1)
    pictures = sorted(path for path in images_dir.iterdir() if path.suffix.lower() in SUFFIXES)
    if not pictures:
        raise Rejected(f"{images_dir} holds no {', '.join(SUFFIXES)} file")
    return asyncio.run(_run(spec, pictures, output_path, min_score))


def load(release_dir: Path, variant: str = "", threads: int = 1) -> EngineSpec:
    """The release, every file of it proven against the manifest. Raises Rejected, Fatal."""
    release = opened(release_dir, variant, threads)
    if release.manifest.task != "detection" or release.spec.input is None:
        raise Rejected(f"{release.manifest.name} is no detection release; predict writes boxes")
    return release.spec


async def _run(spec: EngineSpec, pictures: list[Path], output_path: Path, min_score: float) -> int:
    engine = OnnxEngine("predict")
    try:
        await engine.start(spec)
        with output_path.open("w", encoding="utf-8") as output:
            for path in pictures:
                output.write(json.dumps(await _line(engine, path, min_score)) + "\n")
    finally:
        await engine.close()
    return len(pictures)


async def _line(engine: Engine, path: Path, min_score: float) -> dict[str, Any]:
    picture = Tensor("image", "BYTES", (1,), pack_bytes([_read(path)]))
    try:
        boxes, scores, classes = await engine.infer([picture], DETECTION, min_score)
    except BadInput as error:
        return {"image": path.name, "error": str(error), "boxes": [], "scores": [], "classes": []}
    count = len(classes.data) // 8
    return {
        "image": path.name,
        "boxes": [list(corners) for corners in struct.iter_unpack("<4f", boxes.data)],
        "scores": list(struct.unpack(f"<{count}f", scores.data)),
        "classes": list(struct.unpack(f"<{count}q", classes.data)),
    }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Rejected(f"{path} cannot be read: {error.strerror}") from error
