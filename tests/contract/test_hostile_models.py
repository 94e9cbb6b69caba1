"""Hostile models forced past the gate onto a box, as if a key had been stolen: the real engine in its real sandbox.

A sample by seed; all of them: `python -m bench.bench_untrusted`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox import kernel, landlock
from tests.hostile import corpus
from tests.hostile.forced import SERVING_SECONDS, ForcedBox, forced_box, opened
from tests.servers import require

SEED, COUNT = 0, 18
OFFERED = landlock.version() >= landlock.NETWORK_VERSION and kernel.machine() is not None
pytestmark = pytest.mark.skipif(not OFFERED, reason="this kernel lacks a layer; Linux 6.7 on x86_64 or aarch64 has all")
NAMES = [model.name for model in corpus.sample(corpus.everything(), COUNT, SEED) if model.family != "flipped"]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["cpu", "openvino-f32"])
async def box(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> AsyncIterator[ForcedBox]:
    if request.param != "cpu":
        require.openvino()
    async with forced_box(tmp_path_factory.mktemp("box"), request.param) as made:
        yield made


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", NAMES)
async def test_a_box_survives_a_hostile_model_and_says_so(box: ForcedBox, name: str) -> None:
    model = next(each for each in corpus.everything(str(box.canary)) if each.name == name)
    watched = await box.assign(model.name, model.build())
    assert not watched.read_a_file, watched
    assert (watched.sockets, watched.children) == (0, 0), watched
    assert watched.silent_seconds <= SERVING_SECONDS, watched
    assert watched.answered or watched.reported, watched
    assert not any(word.missing for word in box.confined)


def test_the_file_that_is_watched_tells_who_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "canary"
    path.write_bytes(b"secret")
    with opened(path) as was:
        assert not was()
        path.read_bytes()
        assert was()
