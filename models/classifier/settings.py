"""The numbers of this recipe; `recipe.toml` says the same for those who start it."""

from dataclasses import dataclass

from models.dataset.prepare import Wish
from models.run.settings import Asked

OWN = Asked("classifier", "1.0.0")


@dataclass(frozen=True)
class Settings:
    data: str = ""
    size: int = 160  # pixels, height and width of the input
    epochs: int = 0  # 0: as many as make STEPS
    batch: int = 32
    val: float = 0.15  # share of the pictures to measure on, where the folder has no split
    bad: str = "refuse"
    start: str = "harbour"
    flip: bool = True
    peak_rate: float = 3e-3  # of the one-cycle schedule
    weight_decay: float = 1e-2
    seed: int = 7
    threads: int = 0

    def wish(self) -> Wish:
        return Wish(self.data, self.size, self.val, self.bad, self.seed)
