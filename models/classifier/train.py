"""Training, on one page: from prepared pictures to folded weights and what was measured.

Rules that hold here: rare classes are shown as often as the root of their share asks, so that none is forgotten and
none learned by heart; what is measured at the end are the folded weights, which the release holds.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from models.classifier.settings import Settings
from models.dataset.augment import Change, drawn_gain, drawn_view, seen
from models.dataset.pictures import Seen
from models.dataset.prepare import Prepared
from models.network.net import Classifier, with_folded
from models.network.plan import classifier
from models.network.start import begin
from models.run.fitting import Course, chosen_epochs, fit
from models.run.folder import RunFolder
from models.run.machine import Machine

STEPS = 1000  # that 0 epochs choose
SMOOTHING = 0.05  # of the labels: no picture is worth certainty
WATCHED = 1000  # pictures that each epoch is judged on

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]
Weights = dict[str, Tensor]


def fitted(settings: Settings, data: Prepared, run: RunFolder, machine: Machine) -> Weights:
    """The folded weights after all epochs. Raises Stopped, Fatal, Rejected."""
    torch.manual_seed(settings.seed)
    network = Classifier(classifier(), len(data.labels))
    chances, change = shown(data), Change(nearer=1.25, aside=0.1, flip=settings.flip)
    first, _ = training_batch(np.random.default_rng(settings.seed), data, (settings.batch, chances), change)
    begin(network, settings.start, torch.from_numpy(first))
    network.to(machine.device, memory_format=torch.channels_last)
    steps = max(1, len(data.split.train) // settings.batch)
    epochs = settings.epochs or chosen_epochs(steps, STEPS)

    def loss(rng: np.random.Generator) -> Tensor:
        batch = training_batch(rng, data, (settings.batch, chances), change)
        images, labels = (torch.from_numpy(part).to(machine.device) for part in batch)
        with machine.autocast():
            logits = network(images)
        value: Tensor = F.cross_entropy(logits.float(), labels, label_smoothing=SMOOTHING)
        return value

    def judge() -> dict[str, float]:
        watched = data.split.val[:WATCHED]
        return {"top1": float(np.mean(right(network, _batches(data, watched, settings.batch, run), machine)))}

    fit(network, Course(epochs, steps, settings.peak_rate, settings.weight_decay, settings.seed), run, loss, judge)
    return network.folded()


def shown(data: Prepared) -> NDArray[np.float64]:
    """How likely each training picture is drawn."""
    labels = [picture.item.classes[0] for picture in data.split.train]
    weight = 1 / np.sqrt(np.maximum(data.counts(data.split.train), 1))
    chances = weight[labels]
    return np.asarray(chances / chances.sum())


def training_batch(
    rng: np.random.Generator, data: Prepared, drawn: tuple[int, NDArray[np.float64]], change: Change
) -> Batch:
    """Random pictures of the training side, changed, and their classes. `drawn` is how many, by which chances."""
    images, labels = [], []
    for at in rng.choice(len(data.split.train), drawn[0], p=drawn[1]):
        picture = data.split.train[at]
        images.append(seen(data.squares[picture.row], drawn_view(rng, change), drawn_gain(rng, change)))
        labels.append(picture.item.classes[0])
    return np.stack(images), np.array(labels, np.int64)


def measured(weights: Weights, settings: Settings, data: Prepared, run: RunFolder, machine: Machine) -> list[float]:
    """Share of each class's pictures that are told right; nan where the measuring side has none. The last is of all."""
    network = with_folded(Classifier(classifier(), len(data.labels), folded=True), weights).to(machine.device)
    hits = right(network, _batches(data, data.split.val, settings.batch, run), machine)
    labels = np.array([picture.item.classes[0] for picture in data.split.val])
    of_class = [hits[labels == label] for label in range(len(data.labels))]
    return [*(float(np.mean(each)) if len(each) else float("nan") for each in of_class), float(np.mean(hits))]


def right(network: Classifier, batches: Iterable[Batch], machine: Machine) -> NDArray[np.bool_]:
    """For each picture whether its class has the highest score."""
    hits = []
    for images, labels in batches:
        with torch.no_grad():
            chosen = network(torch.from_numpy(images).to(machine.device)).argmax(1).cpu().numpy()
        hits.append(chosen == labels)
    return np.concatenate(hits)


def _batches(data: Prepared, pictures: Sequence[Seen], count: int, run: RunFolder) -> Iterable[Batch]:
    for start in range(0, len(pictures), count):
        run.breathe()
        part = pictures[start : start + count]
        yield np.stack([data.squares[each.row] for each in part]), np.array([each.item.classes[0] for each in part])
