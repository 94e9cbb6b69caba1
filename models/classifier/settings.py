"""The numbers of this recipe; `recipe.toml` says the same for those who start it."""

from dataclasses import dataclass

from models.dataset.settings import OwnPictures
from models.run.settings import Asked

OWN = Asked("classifier", "1.0.0")


@dataclass(frozen=True)
class Settings(OwnPictures):
    size: int = 160
    batch: int = 32
    weight_decay: float = 1e-2
