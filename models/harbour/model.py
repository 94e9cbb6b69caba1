"""The plan, in torch.

Rules that hold here: batch normalisation exists while training only; `folded()` gives the convolutions that are saved,
exported and compared, and `Detector(folded=True)` is exactly those.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from models.harbour.plan import MAX_LOG_REACH, PLAN, Layer

RARE = -3.9  # bias of the score maps at the start: about one cell in fifty holds a centre


class Detector(nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    def __init__(self, *, folded: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({layer.name: _convolution(layer, folded=folded) for layer in PLAN})

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N, H, W, 3] → score logits [N, classes, H/4, W/4] and reaches in cells [N, 4, H/4, W/4]."""
        known = {"image": image.permute(0, 3, 1, 2).float() / 255}
        for layer in PLAN:
            known[layer.name] = self._run(layer, known)
        return known["heat"].float(), known["reach"].float().clamp(max=MAX_LOG_REACH).exp()

    def _run(self, layer: Layer, known: dict[str, Tensor]) -> Tensor:
        value: Tensor = self.layers[layer.name](known[layer.source])
        if layer.plus:
            other = known[layer.plus]
            value = value + (F.interpolate(other, scale_factor=2, mode="nearest") if layer.lifted else other)
        return F.relu(value, inplace=True) if layer.relu else value

    def folded(self) -> dict[str, Tensor]:
        """Weights and biases with the normalisation multiplied in."""
        weights: dict[str, Tensor] = {}
        for name, block in self.layers.items():
            weight, bias = _fold(block) if isinstance(block, nn.Sequential) else (block.weight, block.bias)
            weights[f"{name}.weight"], weights[f"{name}.bias"] = _packed(weight), _packed(bias)
        return weights


def _convolution(layer: Layer, *, folded: bool) -> nn.Module:
    plain = folded or not layer.relu
    conv = nn.Conv2d(*layer.channels, layer.kernel, layer.stride, layer.kernel // 2, bias=plain)
    if layer.name == "heat":
        nn.init.normal_(conv.weight, std=0.01)
        nn.init.constant_(conv.bias, RARE)
    return conv if plain else nn.Sequential(conv, nn.BatchNorm2d(layer.channels[1]))


def _fold(block: nn.Sequential) -> tuple[Tensor, Tensor]:
    conv, norm = block
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return conv.weight * gain[:, None, None, None], norm.bias - norm.running_mean * gain


def _packed(value: Tensor) -> Tensor:
    """A copy in the plain order of its dimensions, which is the one that is saved."""
    return value.detach().clone(memory_format=torch.contiguous_format)


def from_folded(weights: dict[str, Tensor]) -> Detector:
    """The detector that a file of folded weights describes."""
    detector = Detector(folded=True)
    detector.load_state_dict({f"layers.{name}": value for name, value in weights.items()})
    detector.eval()
    return detector
