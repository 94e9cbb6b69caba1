"""Training, on one page: draw the scenes, fit the detector, write `weights.safetensors` and `provenance.json`.

Rules that hold here: every number that matters is in `Settings` and can be set by `--set name=value`; the seed fixes
the weights' start and the order of the scenes; what is trained on are the rows of the picture and six of each bar,
because the rest of the bars is the same grey everywhere; a share of the steps sees whole squares, so that it stays so.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from models.harbour.model import Detector
from models.harbour.plan import LABELS, PAD, SIZE, STRIDE
from models.harbour.scenes import TRAINING_SEEDS, Stills, training_stills

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)


@dataclass(frozen=True)
class Settings:
    seed: int = 7
    seeds: int = len(TRAINING_SEEDS)  # training harbours; each gives three stills
    epochs: int = 5
    batch: int = 16
    peak_rate: float = 4e-3  # of the one-cycle schedule
    weight_decay: float = 1e-4
    box_weight: float = 2.0  # of the GIoU loss against the focal loss, each a mean over objects
    spread: float = 0.11  # of an object's size: the standard deviation of its peak
    whole_squares: float = 0.05  # share of the steps
    threads: int = 2
    half: bool = True  # bfloat16 convolutions while training


def changed(settings: Settings, assignments: list[str]) -> Settings:
    """`settings` with `name=value` texts applied; the type is that of the default."""
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if name not in asdict(settings):
            raise SystemExit(f"no setting {name!r}; there are: {', '.join(asdict(settings))}")
        settings = replace(settings, **{name: json.loads(value)})
    return settings


def train(settings: Settings, folder: Path, stills_folder: Path | None = None) -> None:
    """Train and write the weights and where they came from into `folder`."""
    started = time.monotonic()
    _keep_memory()
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    with tempfile.TemporaryDirectory(prefix="harbour-") as scratch:
        stills = load_or_draw(Path(scratch), stills_folder, settings)
        drawn = time.monotonic()
        detector = fit(settings, stills)
    content = save(dict(sorted(detector.folded().items())))
    (folder / "weights.safetensors").write_bytes(content)
    provenance = {
        "command": "python -m models.harbour train",
        "settings": asdict(settings),
        "stills": len(stills.images),
        "torch": torch.__version__,
        "training_seeds": [TRAINING_SEEDS.start, TRAINING_SEEDS.start + settings.seeds],
        "minutes": {"draw": round((drawn - started) / 60, 1), "fit": round((time.monotonic() - drawn) / 60, 1)},
        "cpu_minutes": round(sum(os.times()[:4]) / 60, 1),
        "weights_sha256": hashlib.sha256(content).hexdigest(),
    }
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=2, sort_keys=True) + "\n")


def _keep_memory() -> None:
    """Have the allocator keep what a step frees for the next step: a fifth of the time went into page faults."""
    with contextlib.suppress(OSError, AttributeError):  # another C library: slower, nothing else
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


def load_or_draw(scratch: Path, kept: Path | None, settings: Settings) -> Stills:
    """Stills kept from an earlier run, or drawn now."""
    if kept is not None and (kept / "truth.npy").exists():
        return Stills(*(np.load(kept / name, mmap_mode="r") for name in ("images.npy", "truth.npy")))
    return training_stills(kept or scratch, TRAINING_SEEDS[: settings.seeds])


def fit(settings: Settings, stills: Stills) -> Detector:
    detector: Detector = Detector().to(memory_format=torch.channels_last).train()
    steps = settings.epochs * (len(stills.images) // settings.batch)
    optimiser = torch.optim.AdamW(detector.parameters(), settings.peak_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.peak_rate, steps, pct_start=0.15)
    rng, started = np.random.default_rng(settings.seed), time.monotonic()
    for step in range(steps):
        images, truth = pick(rng, stills, settings)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.half):
            heat, reach = detector(images)
        score_loss, box_loss = losses(heat, reach, truth, settings)
        optimiser.zero_grad(set_to_none=True)
        (score_loss + settings.box_weight * box_loss).backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 10.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            spent = time.monotonic() - started
            print(f"{step:5d}/{steps}  score {score_loss:.3f}  box {box_loss:.3f}  {spent:.0f} s", flush=True)
    detector.eval()
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


def losses(heat: Tensor, reach: Tensor, truth: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """Focal loss of the score maps against soft peaks, and GIoU of the boxes where a peak is high."""
    boxes, labels = truth[:, :, :4] * (SIZE / STRIDE), truth[:, :, 4]  # in cells
    peaks, centres = soft_peaks(boxes, labels >= 0, heat.shape[2:], settings.spread)
    target = torch.stack([(peaks * (labels == c)[:, :, None, None]).amax(1) for c in range(len(LABELS))], 1)
    exact = torch.stack([(centres & (labels == c)[:, :, None, None]).any(1) for c in range(len(LABELS))], 1)
    count = (labels >= 0).sum().clamp(min=1)
    score = heat.sigmoid()
    hit = exact * (1 - score) ** 2 * F.logsigmoid(heat)
    miss = ~exact * (1 - target) ** 4 * score**2 * F.logsigmoid(-heat)
    height, owner = peaks.max(1)
    near = height > 0.5
    wanted = torch.gather(boxes, 1, owner.flatten(1)[:, :, None].expand(-1, -1, 4)).view(*owner.shape, 4)[near]
    missed = shares(height * near, owner, labels.shape[1])[near] * (1 - giou(decoded(reach)[near], wanted))
    return -(hit + miss).sum() / count, missed.sum() / count


def shares(height: Tensor, owner: Tensor, objects: int) -> Tensor:
    """Each cell's part of its object's one vote: a person of two cells counts as much as a ship of fifty."""
    heights, owners = height.flatten(1), owner.flatten(1)
    total = torch.zeros(len(heights), objects).scatter_add_(1, owners, heights)
    return (heights / total.gather(1, owners).clamp(min=1e-6)).view_as(height)


def soft_peaks(boxes: Tensor, real: Tensor, shape: torch.Size, spread: float) -> tuple[Tensor, Tensor]:
    """For each object a Gaussian around its centre cell, 1 there; and where exactly that cell is."""
    x0, y0, x1, y1 = boxes.unbind(2)
    columns, rows = torch.arange(shape[1]).float(), torch.arange(shape[0]).float()
    x, y = ((x0 + x1) / 2).floor().clamp(0, shape[1] - 1), ((y0 + y1) / 2).floor().clamp(0, shape[0] - 1)
    wide, high = ((x1 - x0) * spread).clamp(min=0.45), ((y1 - y0) * spread).clamp(min=0.45)
    across = torch.exp(-0.5 * ((columns - x[:, :, None]) / wide[:, :, None]) ** 2)
    down = torch.exp(-0.5 * ((rows - y[:, :, None]) / high[:, :, None]) ** 2)
    peaks = down[:, :, :, None] * across[:, :, None, :] * real[:, :, None, None]
    return peaks, peaks > 0.9999


def decoded(reach: Tensor) -> Tensor:
    """Boxes in cells, [N, H, W, 4]."""
    columns = torch.arange(reach.shape[3]) + 0.5
    rows = (torch.arange(reach.shape[2]) + 0.5)[:, None]
    left, top, right, bottom = reach.unbind(1)
    return torch.stack([columns - left, rows - top, columns + right, rows + bottom], 3)


def giou(one: Tensor, other: Tensor) -> Tensor:
    """Generalised intersection over union of paired boxes."""
    inner = (torch.minimum(one[:, 2:], other[:, 2:]) - torch.maximum(one[:, :2], other[:, :2])).clamp(min=0).prod(1)
    outer = (torch.maximum(one[:, 2:], other[:, 2:]) - torch.minimum(one[:, :2], other[:, :2])).prod(1)
    union = (one[:, 2:] - one[:, :2]).prod(1) + (other[:, 2:] - other[:, :2]).prod(1) - inner
    return inner / union - (outer - union) / outer
