"""The numbers of the sample model's recipe; `recipe.toml` says the same for those who start it."""

from dataclasses import dataclass

from models.run.settings import Asked

SAMPLE = Asked("harbour", "1.1.0")


@dataclass(frozen=True)
class Settings:
    seed: int = 7
    seeds: int = 1800  # training harbours; each gives three stills
    epochs: int = 5
    batch: int = 16
    peak_rate: float = 4e-3  # of the one-cycle schedule
    weight_decay: float = 1e-4
    box_weight: float = 2.0  # of the GIoU loss against the focal loss, each a mean over objects
    spread: float = 0.11  # of an object's size: the standard deviation of its peak
    whole_squares: float = 0.05  # share of the steps
    threads: int = 2
    half: bool = True  # bfloat16 convolutions while training, where the processor has them
    watched: int = 16  # harbours whose stills each epoch is judged on
    scenes: int = 128  # held-out scenes that a Run's release is measured on
