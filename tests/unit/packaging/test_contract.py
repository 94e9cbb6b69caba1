"""What comes out of folding is what boxes load and what the registry takes."""

from __future__ import annotations

import pytest

from agent.inference import contract
from agent.inference.session import Session
from agent.types import ModelInput
from controlplane.gate import static
from tests.sim.exports import HEIGHT, WIDTH, Net
from tests.unit.packaging.folded import fold
from tests.unit.packaging.test_parity import CASES


@pytest.mark.parametrize("batch", [0, 1])
@pytest.mark.parametrize("name", CASES)
def test_a_folded_detector_keeps_the_contract_of_agent_and_registry(name: str, batch: int) -> None:
    folded, decided = fold(CASES[name].make(Net(batch=batch)))
    contract.check(Session(folded).signature, "detection", ModelInput(HEIGHT, WIDTH, decided.fit))
    assert (
        static.judged(folded, {"task": "detection", "input": {"name": "image", "height": HEIGHT, "width": WIDTH}}) == ()
    )
