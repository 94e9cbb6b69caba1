"""A decoder of pictures that never gives memory back: `python -m tests.sim.leaking_decoder`, in place of a real one.

At its end it says of every picture that it is damaged, as OpenCV does.
"""

from __future__ import annotations

from typing import Any

from agent.inference import decode_worker, pictures
from agent.inference.errors import BadInput
from tests.sim.leaking_worker import leak

_fit = pictures.fit


def _leaking(*arguments: Any) -> Any:
    try:
        leak()
    except MemoryError as error:
        raise BadInput("the picture is damaged and cannot be decoded") from error
    return _fit(*arguments)


if __name__ == "__main__":
    vars(pictures)["fit"] = _leaking
    decode_worker.main()
