"""What a detector's maps should be, how far they are from it, and which boxes they mean.

Rules that hold here: an object is a peak of its class's score map at its centre, and four reaches from there to its
sides; boxes are x0, y0, x1, y1. `detections` gives what the ONNX graph gives.
"""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from models.network.plan import STRIDE, TOP


def losses(heat: Tensor, reach: Tensor, truth: Tensor, spread: float, size: int) -> tuple[Tensor, Tensor]:
    """Focal loss of the score maps against soft peaks, and GIoU of the boxes where a peak is high.

    `truth` is [N, objects, 5]: box in 0..1 of `size` pixels, class or -1; `spread` the deviation of a peak, of its
    object's size. Both are a mean over objects.
    """
    boxes, labels = truth[:, :, :4] * (size / STRIDE), truth[:, :, 4].long()  # in cells
    peaks, centres = soft_peaks(boxes, labels >= 0, heat.shape[2:], spread)
    target, exact = by_class(peaks, labels, heat.shape[1]), by_class(centres, labels, heat.shape[1])
    count = (labels >= 0).sum().clamp(min=1)
    score = heat.sigmoid()
    hit = exact * (1 - score) ** 2 * F.logsigmoid(heat)
    miss = (1 - exact) * (1 - target) ** 4 * score**2 * F.logsigmoid(-heat)
    height, owner = peaks.max(1)
    near = height > 0.5
    wanted = torch.gather(boxes, 1, owner.flatten(1)[:, :, None].expand(-1, -1, 4)).view(*owner.shape, 4)[near]
    missed = shares(height * near, owner, labels.shape[1])[near] * (1 - giou(decoded(reach)[near], wanted))
    return -(hit + miss).sum() / count, missed.sum() / count


def by_class(maps: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Maps of objects [N, objects, H, W] → the highest of each class, [N, classes, H, W]; of class -1 none."""
    flat = maps.float().flatten(2)
    where = labels.clamp(min=0)[:, :, None].expand(-1, -1, flat.shape[2])
    empty = flat.new_zeros(len(maps), classes, flat.shape[2])
    highest = empty.scatter_reduce(1, where, flat, "amax")
    return highest.view(len(maps), classes, *maps.shape[2:])


def shares(height: Tensor, owner: Tensor, objects: int) -> Tensor:
    """Each cell's part of its object's one vote: a person of two cells counts as much as a ship of fifty."""
    heights, owners = height.flatten(1), owner.flatten(1)
    total = heights.new_zeros(len(heights), objects).scatter_add_(1, owners, heights)
    return (heights / total.gather(1, owners).clamp(min=1e-6)).view_as(height)


def soft_peaks(boxes: Tensor, real: Tensor, shape: torch.Size, spread: float) -> tuple[Tensor, Tensor]:
    """For each object a Gaussian around its centre cell, 1 there; and where exactly that cell is."""
    x0, y0, x1, y1 = boxes.unbind(2)
    columns, rows = (torch.arange(side, device=boxes.device).float() for side in (shape[1], shape[0]))
    x, y = ((x0 + x1) / 2).floor().clamp(0, shape[1] - 1), ((y0 + y1) / 2).floor().clamp(0, shape[0] - 1)
    wide, high = ((x1 - x0) * spread).clamp(min=0.45), ((y1 - y0) * spread).clamp(min=0.45)
    across = torch.exp(-0.5 * ((columns - x[:, :, None]) / wide[:, :, None]) ** 2)
    down = torch.exp(-0.5 * ((rows - y[:, :, None]) / high[:, :, None]) ** 2)
    peaks = down[:, :, :, None] * across[:, :, None, :] * real[:, :, None, None]
    return peaks, peaks > 0.9999


def decoded(reach: Tensor) -> Tensor:
    """Boxes in cells, [N, H, W, 4]."""
    columns = torch.arange(reach.shape[3], device=reach.device) + 0.5
    rows = (torch.arange(reach.shape[2], device=reach.device) + 0.5)[:, None]
    left, top, right, bottom = reach.unbind(1)
    return torch.stack([columns - left, rows - top, columns + right, rows + bottom], 3)


def giou(one: Tensor, other: Tensor) -> Tensor:
    """Generalised intersection over union of paired boxes."""
    inner = (torch.minimum(one[:, 2:], other[:, 2:]) - torch.maximum(one[:, :2], other[:, :2])).clamp(min=0).prod(1)
    outer = (torch.maximum(one[:, 2:], other[:, 2:]) - torch.minimum(one[:, :2], other[:, :2])).prod(1)
    union = (one[:, 2:] - one[:, :2]).prod(1) + (other[:, 2:] - other[:, :2]).prod(1) - inner
    return inner / union - (outer - union) / outer


def detections(heat: Tensor, reach: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes [N, TOP, 4] in 0..1 of the input, scores [N, TOP] descending, classes [N, TOP], as the graph gives them."""
    score = heat.sigmoid()
    peak = torch.where(score == F.max_pool2d(score, 3, 1, 1), score, 0)
    scores, index = peak.flatten(1).topk(TOP, dim=1)
    cells = heat.shape[2] * heat.shape[3]
    side = reach.new_tensor([heat.shape[3], heat.shape[2]] * 2)
    boxes = (decoded(reach) / side).clamp(0, 1).flatten(1, 2)
    chosen = boxes.gather(1, (index % cells)[:, :, None].expand(-1, -1, 4))
    return chosen, scores, index // cells
