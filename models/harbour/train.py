"""Training, on one page: draw the scenes, fit the detector, write `weights.safetensors` and `provenance.json`.

Rules that hold here: every number that matters is in `Settings` and can be set by `--set name=value`; the seed fixes
the weights' start and the order of the scenes; what is trained on are the rows of the picture and six of each bar,
because the rest of the bars is the same grey everywhere; a share of the steps sees whole squares, so that it stays so.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from models.harbour.plan import LABELS, PAD, PLAN, SIZE
from models.harbour.scenes import TRAINING_SEEDS, WATCHED_SEEDS, Stills, training_stills
from models.harbour.settings import SAMPLE, Settings
from models.network.judge import average_precisions, mean_precision
from models.network.net import Detector
from models.network.peaks import losses
from models.release import sha256
from models.run.fitting import Course, fit
from models.run.folder import RunFolder, write_whole
from models.run.machine import Machine, this_machine
from models.run.minutes import Minutes
from models.run.settings import Asked


def train(settings: Settings, run: RunFolder, asked: Asked = SAMPLE, kept: Path | None = None) -> None:
    """Train, and write the weights and where they came from into `run.work`; stills go into `run.cache` or `kept`.

    Raises:
        Stopped: a stop was asked for; the same call goes on.
        Fatal: the loss became infinite.
    """
    torch.manual_seed(settings.seed)
    machine, spent = this_machine(settings.threads, half=settings.half), Minutes(run.work)
    with spent.on("draw"):
        stills = drawn(kept or run.cache / "stills", TRAINING_SEEDS[: settings.seeds], run)
        watched = drawn(run.cache / "watched", WATCHED_SEEDS[: max(1, settings.watched)], run)
    with spent.on("fit"):
        detector = fitted(settings, (stills, watched), run, machine)
    content = save(dict(sorted(detector.folded().items())))
    write_whole(run.work / "weights.safetensors", content)
    provenance = origin(settings, asked, spent, machine) | {
        "stills": len(stills.images),
        "weights_sha256": sha256(content),
    }
    write_whole(run.work / "provenance.json", (json.dumps(provenance, indent=2, sort_keys=True) + "\n").encode())


def origin(settings: Settings, asked: Asked, spent: Minutes, machine: Machine) -> dict[str, Any]:
    """What the card says of where the weights came from."""
    named = {} if asked == SAMPLE else {"model": asked.model, "version": asked.version}
    return {
        "command": "python -m models.harbour train",
        "settings": asdict(settings),
        "torch": torch.__version__,
        "training_seeds": [TRAINING_SEEDS.start, TRAINING_SEEDS.start + settings.seeds],
        "minutes": {name: round(spent.of(name), 1) for name in ("draw", "fit")},
        "cpu_minutes": round(spent.of("cpu"), 1),
        "machine": machine.words,
        **named,
    }


def drawn(folder: Path, seeds: range, run: RunFolder) -> Stills:
    """Stills in `folder`: drawn earlier, or now, or the rest of them."""
    folder.mkdir(parents=True, exist_ok=True)
    return training_stills(folder, seeds, run.told("draw"))


def fitted(settings: Settings, stills: tuple[Stills, Stills], run: RunFolder, machine: Machine) -> Detector:
    """The detector after all epochs; the second stills are what each epoch is judged on."""
    training, watched = stills
    detector: Detector = Detector(PLAN, SIZE).to(machine.device, memory_format=torch.channels_last).train()
    steps = max(1, len(training.images) // settings.batch)
    course = Course(settings.epochs, steps, settings.peak_rate, settings.weight_decay, settings.seed)

    def loss(rng: np.random.Generator) -> Tensor:
        images, truth = (part.to(machine.device) for part in pick(rng, training, settings))
        with machine.autocast():
            heat, reach = detector(images)
        score_loss, box_loss = losses(heat, reach, truth, settings.spread, SIZE)
        return score_loss + settings.box_weight * box_loss

    def judge() -> dict[str, float]:
        bar = (SIZE - watched.images.shape[1]) // 2
        squares = np.pad(watched.images, ((0, 0), (bar, bar), (0, 0), (0, 0)), constant_values=PAD)
        batches = ((squares[at : at + 16], watched.truth[at : at + 16]) for at in range(0, len(squares), 16))
        precisions = average_precisions(detector, batches, len(LABELS), machine.device, run.breathe)
        return {"mAP50": mean_precision(precisions)}

    fit(detector, course, run, loss, judge)
    return detector


def pick(rng: np.random.Generator, stills: Stills, settings: Settings) -> tuple[Tensor, Tensor]:
    """A random batch, half of it mirrored, in changed light; bars added."""
    at = rng.integers(len(stills.images), size=settings.batch)
    whole = bool(rng.random() < settings.whole_squares)
    bar = (SIZE - stills.images.shape[1]) // 2 if whole else 6
    images = np.pad(stills.images[at], ((0, 0), (bar, bar), (0, 0), (0, 0)), constant_values=PAD)
    truth = stills.truth[at].copy()
    # The rows that are there begin at this height of the square.
    truth[:, :, 1:4:2] -= ((SIZE - images.shape[1]) / 2) / SIZE
    for row in np.flatnonzero(rng.random(len(at)) < 0.5):
        images[row] = images[row, :, ::-1]
        truth[row, :, 0], truth[row, :, 2] = 1 - truth[row, :, 2], 1 - truth[row, :, 0]
    rows = slice(bar, images.shape[1] - bar)
    gain = rng.uniform(0.8, 1.2, (len(at), 1, 1, 3)).astype(np.float32)
    images[:, rows] = np.clip(images[:, rows] * gain, 0, 255).astype(np.uint8)
    return torch.from_numpy(images), torch.from_numpy(truth)
