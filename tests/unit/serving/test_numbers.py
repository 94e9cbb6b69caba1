"""NaN over both transports: tensors pass as the model gave them, boxes that are none are the model's fault."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from agent.inference.datatypes import pack_bytes
from agent.ports import Tensor
from tests.sim.engine import FakeEngine, RealClock
from tests.sim.models import detector
from tests.unit.serving.conftest import Node
from tests.unit.serving.doors import Asked, Door, Refused


async def test_tensors_pass_and_a_picture_whose_boxes_are_no_numbers_is_told_as_the_models_fault(
    door: Door, node: Node
) -> None:
    broken = detector(sane_below=0.5)
    engine = FakeEngine([broken], RealClock())
    await engine.start(broken.spec)
    node.table.add("broken", "1.0.0", engine)
    white = np.full((32, 64, 3), 255, np.uint8)
    tensor = Tensor("image", "UINT8", (1, 32, 64, 3), white.tobytes())
    scores = (await door.infer("broken", Asked([tensor], ["scores"])))["scores"]
    assert isinstance(scores, bytes)
    assert np.isnan(np.frombuffer(scores, np.float32)).all()
    content = cv2.imencode(".png", white)[1].tobytes()
    with pytest.raises(Refused, match="no number") as caught:
        await door.infer("broken", Asked([Tensor("image", "BYTES", (1,), pack_bytes([content]))]))
    assert caught.value.status == 500
    assert [result for _, _, result in node.counted.answers] == ["ok", "not_a_number"]
