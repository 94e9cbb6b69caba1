"""A plan, in torch.

Rules that hold here: batch normalisation exists while training only; `folded()` gives the convolutions that are saved,
exported and compared, and a network made with `folded=True` is exactly those.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from models.network.plan import Layer, Plan, max_log_reach

Net = TypeVar("Net", bound="Convolutions")

RARE = -3.9  # bias of the score maps at the start: about one cell in fifty holds a centre


class Convolutions(nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    """All layers of a plan."""

    def __init__(self, plan: Plan, *, folded: bool = False) -> None:
        super().__init__()
        self.plan = plan
        self.layers = nn.ModuleDict({layer.name: _convolution(layer, folded=folded) for layer in plan})

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """uint8 [N, H, W, 3] → every layer's output by name."""
        known = {"image": image.permute(0, 3, 1, 2).float() / 255}
        for layer in self.plan:
            known[layer.name] = self._run(layer, known)
        return known

    def _run(self, layer: Layer, known: dict[str, Tensor]) -> Tensor:
        value: Tensor = self.layers[layer.name](known[layer.source])
        if layer.plus:
            other = known[layer.plus]
            value = value + (F.interpolate(other, scale_factor=2, mode="nearest") if layer.lifted else other)
        return F.relu(value, inplace=True) if layer.relu else value

    def folded(self) -> dict[str, Tensor]:
        """Weights and biases with the normalisation multiplied in, on the CPU."""
        weights: dict[str, Tensor] = {}
        for name, block in self.layers.items():
            weight, bias = _fold(block) if isinstance(block, nn.Sequential) else (block.weight, block.bias)
            weights[f"{name}.weight"], weights[f"{name}.bias"] = _packed(weight), _packed(bias)
        return weights


class Detector(Convolutions):
    def __init__(self, plan: Plan, size: int, *, folded: bool = False) -> None:
        super().__init__(plan, folded=folded)
        self.max_log_reach = max_log_reach(size)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N, H, W, 3] → score logits [N, classes, H/4, W/4] and reaches in cells [N, 4, H/4, W/4]."""
        known = self.maps(image)
        return known["heat"].float(), known["reach"].float().clamp(max=self.max_log_reach).exp()


class Classifier(Convolutions):
    def __init__(self, plan: Plan, classes: int, *, folded: bool = False) -> None:
        super().__init__(plan, folded=folded)
        self.verdict = nn.Linear(plan[-1].channels[1], classes)

    def forward(self, image: Tensor) -> Tensor:
        """uint8 [N, H, W, 3] → logits [N, classes]."""
        mean = self.maps(image)[self.plan[-1].name].float().mean((2, 3))
        logits: Tensor = self.verdict(mean)
        return logits

    def folded(self) -> dict[str, Tensor]:
        linear = {"class.weight": _packed(self.verdict.weight), "class.bias": _packed(self.verdict.bias)}
        return super().folded() | linear


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
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


def with_folded(network: Net, weights: dict[str, Tensor]) -> Net:
    """A network made with `folded=True`, filled from a file of folded weights."""
    renamed = {f"layers.{name}": value for name, value in weights.items() if not name.startswith("class.")}
    renamed |= {f"verdict.{name[6:]}": value for name, value in weights.items() if name.startswith("class.")}
    network.load_state_dict(renamed)
    network.eval()
    return network
