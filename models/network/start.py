"""Where a training begins: fresh weights, those of the sample model, or those of an earlier Run.

Rules that hold here: only layers of the same name and shape are taken, and never one that gives scores per class unless
the classes are as many; normalisation is set from a first batch so that it undoes itself, and the network gives at its
first step what the folded weights would.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.network.net import Convolutions
from protos.errors import Rejected

HARBOUR = Path(__file__).parents[1] / "harbour" / "weights.safetensors"
OF_CLASSES = ("heat", "class")  # layers whose channels are the classes


def begin(network: Convolutions, start: str, images: Tensor) -> int:
    """Fill `network` from `start`: `scratch`, `harbour` or a file of folded weights; how many layers were taken.

    `images` is a batch to set the normalisation by.

    Raises:
        Rejected: no such file, or no weights in it.
    """
    if start == "scratch":
        return 0
    weights = _loaded(HARBOUR if start == "harbour" else Path(start).expanduser())
    taken = [name for name, block in network.layers.items() if name not in OF_CLASSES and _fits(block, name, weights)]
    if not taken:
        raise Rejected(f"setting start: {start} has no layer that this network has; use harbour or scratch")
    hooks = [_settled(network.layers[name], weights, name) for name in taken]
    network.train()
    with torch.no_grad():
        network.maps(images)
    for hook in hooks:
        hook.remove()
    return len(taken)


def _loaded(file: Path) -> dict[str, Tensor]:
    try:
        weights: dict[str, Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise Rejected(
            f"setting start: {file} cannot be read ({error}); use harbour, scratch or a Run's work/weights.safetensors"
        ) from error
    return weights


def _fits(block: nn.Module, name: str, weights: dict[str, Tensor]) -> bool:
    conv = block[0] if isinstance(block, nn.Sequential) else block
    there = weights.get(f"{name}.weight")
    return there is not None and there.shape == conv.weight.shape


def _settled(block: nn.Module, weights: dict[str, Tensor], name: str) -> torch.utils.hooks.RemovableHandle:
    """Give the layer its weights, and a hook that sets its normalisation when the first batch comes by."""
    conv = block[0] if isinstance(block, nn.Sequential) else block
    weight, bias = weights[f"{name}.weight"].to(conv.weight.device), weights[f"{name}.bias"].to(conv.weight.device)
    with torch.no_grad():
        conv.weight.copy_(weight)
        if conv.bias is not None:
            conv.bias.copy_(bias)

    def undo(_: nn.Module, given: tuple[Tensor]) -> None:
        norm, value = block[1], given[0]
        mean, spread = value.mean((0, 2, 3)), value.var((0, 2, 3), unbiased=False)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(spread)
        norm.weight.copy_((spread + norm.eps).sqrt())
        norm.bias.copy_(bias + mean)

    target = block[1] if isinstance(block, nn.Sequential) else block
    return target.register_forward_pre_hook(undo if isinstance(block, nn.Sequential) else lambda *_: None)
