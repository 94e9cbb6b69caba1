"""Training, on one page: from prepared pictures to folded weights and what was measured.

Rules that hold here: what is measured at the end are the folded weights, which the release holds, on every picture of
the measuring side; after each epoch a part of them is enough.
"""

import numpy as np
import torch
from torch import Tensor

from models.dataset.augment import Change
from models.dataset.prepare import Prepared
from models.detector.batches import measuring_batches, training_batch
from models.detector.settings import Settings
from models.network.judge import average_precisions, mean_precision
from models.network.net import Detector, with_folded
from models.network.peaks import losses
from models.network.plan import detector
from models.network.start import begin
from models.run.fitting import Course, chosen_epochs, fit
from models.run.folder import RunFolder
from models.run.machine import Machine

STEPS = 1500  # that 0 epochs choose
BOX_WEIGHT = 2.0  # of the GIoU loss against the focal loss, each a mean over objects
SPREAD = 0.11  # of an object's size: the standard deviation of its peak
WATCHED = 200  # pictures that each epoch is judged on

Weights = dict[str, Tensor]


def fitted(settings: Settings, data: Prepared, run: RunFolder, machine: Machine) -> Weights:
    """The folded weights after all epochs. Raises Stopped, Fatal, Rejected."""
    torch.manual_seed(settings.seed)
    network = Detector(detector(len(data.labels)), settings.size)
    change, size = Change(flip=settings.flip), settings.size
    first, _ = training_batch(np.random.default_rng(settings.seed), data, settings.batch, change)
    begin(network, settings.start, torch.from_numpy(first))
    network.to(machine.device, memory_format=torch.channels_last)
    steps = max(1, len(data.split.train) // settings.batch)
    epochs = settings.epochs or chosen_epochs(steps, STEPS)

    def loss(rng: np.random.Generator) -> Tensor:
        images, rows = (
            torch.from_numpy(part).to(machine.device) for part in training_batch(rng, data, settings.batch, change)
        )
        with machine.autocast():
            heat, reach = network(images)
        score_loss, box_loss = losses(heat, reach, rows, SPREAD, size)
        return score_loss + BOX_WEIGHT * box_loss

    def judge() -> dict[str, float]:
        batches = measuring_batches(data, data.split.val[:WATCHED], settings.batch)
        with machine.autocast():
            return {
                "mAP50": mean_precision(
                    average_precisions(network, batches, len(data.labels), machine.device, run.breathe)
                )
            }

    fit(network, Course(epochs, steps, settings.peak_rate, settings.weight_decay, settings.seed), run, loss, judge)
    return network.folded()


def measured(weights: Weights, settings: Settings, data: Prepared, run: RunFolder, machine: Machine) -> list[float]:
    """AP50 of each class on the whole measuring side; nan where it has none of the class."""
    network = Detector(detector(len(data.labels)), settings.size, folded=True)
    with_folded(network, weights).to(machine.device)
    done, of = 0, len(data.split.val)

    def breathe() -> None:
        nonlocal done
        run.breathe()
        run.progress("evaluate", min(done, of), of)
        done += settings.batch

    batches = measuring_batches(data, data.split.val, settings.batch)
    return average_precisions(network, batches, len(data.labels), machine.device, breathe)
