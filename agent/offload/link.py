"""The way to the cloud: how fast it carries, how long it stays silent, and whether a picture would be answered in time."""

from __future__ import annotations


class Link:
    """All times are monotonic seconds. A picture is `sent`, then `answered` or `lost`, once."""

    def sent(self, number: int, nbytes: int, now: float) -> None:
        """A picture went to the wire; those before it are ahead of it there."""
        raise NotImplementedError

    def answered(self, number: int, now: float, service: float = 0.0) -> None:
        """The cloud answered it, and was busy with it for `service` seconds (0: it did not say)."""
        raise NotImplementedError

    def lost(self, number: int, now: float) -> None:
        """It failed, or was called off: nothing more of it will be carried."""
        raise NotImplementedError

    def need(self, nbytes: float, now: float) -> float:
        """Seconds from now that 90 of 100 answers to a picture of `nbytes` come within, what is under way included."""
        raise NotImplementedError

    def on_time(self, nbytes: float, slack: float, now: float) -> float:
        """P that a picture of `nbytes` sent now is answered within `slack` seconds."""
        raise NotImplementedError

    def probe_due(self, now: float) -> bool:
        """Nothing is under way, and nothing was for long: send one small picture, whatever it is thought to take."""
        raise NotImplementedError

    @property
    def in_flight(self) -> int:
        raise NotImplementedError
