"""A new head of the sample model, from the real control plane over HTTPS to a box that has the model before."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.bench_chunks import GOAL, missed, prove
from bench.fine_tunes import sample_head


def test_a_new_head_on_a_frozen_backbone_saves_most_of_the_wire(tmp_path: Path) -> None:
    (figures,) = asyncio.run(prove(tmp_path, [sample_head()]))
    assert figures.whole >= figures.size
    assert figures.saved >= GOAL
    assert missed([figures]) == []
