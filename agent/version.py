"""The agent's version, as reports, metrics and the inference protocol tell it. Raised with each release."""

from __future__ import annotations

VERSION = "0.2.0"
