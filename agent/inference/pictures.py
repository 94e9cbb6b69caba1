"""An encoded picture → the model's input, inside a decoder. The size it claims is checked before it is decoded.

The picture is turned upright as its EXIF orientation says, since that is how people and detections see it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.cameras.letterbox import letterbox
from agent.inference import picture_header
from agent.inference.errors import BadInput
from agent.types import Geometry, ModelInput

cv2.setNumThreads(1)  # the cores belong to the models


def fit(content: memoryview, wanted: ModelInput, out: NDArray[np.uint8]) -> Geometry:
    """Write it to `out`, RGB [height, width, 3], as the model wants it; how the picture lies there. Raises BadInput."""
    return letterbox(decode(content), wanted.height, wanted.width, wanted.fit, wanted.pad, out)[1]


def decode(content: memoryview) -> NDArray[np.uint8]:
    """RGB pixels of a JPEG or PNG of any depth or colour space. Raises BadInput."""
    picture_header.check(content)
    try:
        picture = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise BadInput("the picture is damaged and cannot be decoded") from error
    if picture is None:
        raise BadInput("the picture is damaged and cannot be decoded")
    return np.asarray(picture, dtype=np.uint8)
