"""The settings that both recipes for a user's own pictures have; each recipe gives those that differ their default."""

from dataclasses import dataclass

from models.dataset.prepare import Wish


@dataclass(frozen=True)
class OwnPictures:
    size: int  # pixels, height and width of the input
    batch: int
    weight_decay: float
    data: str = ""
    epochs: int = 0  # 0: as many as make STEPS
    val: float = 0.15  # share of the pictures to measure on, where the folder has no split
    bad: str = "refuse"
    start: str = "harbour"
    flip: bool = True
    peak_rate: float = 3e-3  # of the one-cycle schedule
    seed: int = 7
    threads: int = 0

    def wish(self) -> Wish:
        return Wish(self.data, self.size, self.val, self.bad, self.seed)
