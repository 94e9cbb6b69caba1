"""The numbers of this recipe; `recipe.toml` says the same for those who start it."""

from dataclasses import dataclass

from models.dataset.settings import OwnPictures
from models.run.settings import Asked

OWN = Asked("detector", "1.0.0")


@dataclass(frozen=True)
class Settings(OwnPictures):
    size: int = 320
    batch: int = 16
    weight_decay: float = 1e-3
