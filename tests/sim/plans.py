"""A plan as somebody asks for it at the command line."""

from __future__ import annotations

from agent.plan.run import Words

WORDS = Words(
    release=None,
    figures=None,
    sizes=("medium=30ms:0.76", "small=12ms:0.61"),
    cameras=4,
    rate=10.0,
    busy=1.0,
    deadline="250ms",
    link="4Mbit/s",
    rtt="40ms",
    budget="",
    cloud="20ms",
    unsteady=False,
)
