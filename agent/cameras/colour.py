"""What numbers in a Y, U or V plane mean. Pure.

A stream says its matrix (BT.601 or BT.709) and range (limited 16..235 or full 0..255); cv2's own conversion knows only
BT.601 limited. A stream that says nothing is read as every player reads it: BT.709 from 720 lines on, else BT.601.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

HD_LINES = 720


class Matrix(StrEnum):
    BT601 = "bt601"
    BT709 = "bt709"


_LUMA = {Matrix.BT601: (0.299, 0.114), Matrix.BT709: (0.2126, 0.0722)}  # weight of red, of blue


@dataclass(frozen=True)
class YuvColour:
    matrix: Matrix = Matrix.BT601
    full_range: bool = False

    @property
    def is_opencv(self) -> bool:
        """cv2.cvtColor converts exactly this and nothing else."""
        return self.matrix is Matrix.BT601 and not self.full_range

    def to_rgb(self) -> tuple[tuple[float, float, float, float], ...]:
        """Three rows (y, u, v, constant): red, green, blue."""
        red, blue = _LUMA[self.matrix]
        green = 1.0 - red - blue
        luma, chroma, floor = (1.0, 1.0, 0.0) if self.full_range else (255 / 219, 255 / 224, 16.0)
        from_v, from_u = 2 * (1 - red) * chroma, 2 * (1 - blue) * chroma
        rows = (
            (0.0, from_v),
            (-from_u * blue / green, -from_v * red / green),
            (from_u, 0.0),
        )
        return tuple((luma, u, v, -luma * floor - 128.0 * (u + v)) for u, v in rows)


def guess(matrix: Matrix | None, height: int, *, full_range: bool) -> YuvColour:
    """What the stream said, completed by what players assume."""
    if matrix is None:
        matrix = Matrix.BT709 if height >= HD_LINES else Matrix.BT601
    return YuvColour(matrix, full_range)
