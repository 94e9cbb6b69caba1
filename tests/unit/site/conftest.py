"""The simulated box of updates, beside a cache of its site."""

from __future__ import annotations

from tests.unit.update.conftest import box

__all__ = ["box"]
