"""What keeps something from happening, and how long to wait before it is tried again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from agent.errors import passing
from agent.update.backoff import Backoff
from protos.errors import LongshoreError, Retryable

MISTAKE = Retryable("the agent made a mistake in this update; its log says which, and it is tried again")


@dataclass
class Hindrance:
    """One thing that is tried until it works; `error` says why it does not now, None when it does."""

    backoff: Backoff
    error: Retryable | None = None

    def met(self, error: LongshoreError) -> float:
        """It failed once more; seconds to wait."""
        self.error = passing(error)
        return self.backoff.next(self.error.after_seconds)

    def over(self) -> None:
        self.error = None
        self.backoff.reset()
