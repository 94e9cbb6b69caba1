"""What a graph looks like that no head fits, in words for the person who asked.

Only text is told for certain enough to refuse a head by that a person asks for: scores that one softmax shares out over
a whole row leave no room in it for a box. A recurrent layer reads a line, as long as nobody says otherwise.
"""

from __future__ import annotations

from onnx import NodeProto, helper

from controlplane.packaging.heads.reading import COARSE, Question, maps_of, rows_of
from controlplane.packaging.seen import Seen, Tensor
from controlplane.packaging.wish import Frame
from protos.errors import Rejected

_SHARED = ("Softmax", "LogSoftmax")
_SILENT = frozenset({"Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze"})
_RECURRENT = ("LSTM", "GRU", "RNN")  # also as a part of a name: DynamicQuantizeLSTM
_SHORTEST = 7  # numbers of a row: a finished box has 6
_TENSOR = "serve its outputs as they are with --task tensor"
_TEXT = "looks like a sequence of character scores (CTC), as a reader of text or plates gives it"


def check_no_text(seen: Seen, *, asked: bool) -> None:
    """Raises Rejected for a reader of text, which a head would take for boxes; `asked`: a head was asked for."""
    if len(seen.outputs) != 1 or all(len(each.shape) != 4 for each in seen.inputs):
        return
    (given,) = seen.outputs
    if _is_text(seen, given) or (not asked and _is_line(seen, given)):
        raise Rejected(
            f"{given.sentence} {_TEXT}; cameras have no form for text: {_TENSOR}, for an application to read"
        )


def nearest(question: Question) -> str:
    """Continues "no known head gives these outputs"; or "" where there is nothing to say."""
    seen, frame = question.seen, question.frame
    rows, maps = rows_of(seen), maps_of(seen, 4)
    if len(rows) > 1:
        return _apart(rows, frame)
    if len(rows) == 1 and len(seen.outputs) == 1:
        return (
            f"the nearest are rows of a YOLO, of which pictures of {frame.width}×{frame.height} have {frame.cells()} "
            f"(yolov8, yolox) or {3 * frame.cells()} (yolov5): say --size if it was exported for another"
        )
    if len(maps) == len(seen.outputs) == 1 and 4 * maps[0].shape[2] >= frame.height:
        return f"{maps[0].shown} looks like a score for each pixel (segmentation, or where text is), without boxes"
    return ""


def _apart(rows: tuple[Tensor, ...], frame: Frame) -> str:
    """Of rows for each stride apart."""
    places = {frame.cells((stride,)) for stride in COARSE}
    if not places.isdisjoint(each.shape[1] for each in rows) or len({each.shape[1] for each in rows}) > 2:
        return "the nearest is ssd, but scores and boxes of each stride are apart and not decoded: export it with them"
    return ""


def _is_text(seen: Seen, tensor: Tensor) -> bool:
    if tensor not in rows_of(seen) or 0 < tensor.shape[2] < _SHORTEST:
        return False
    node = _last(seen, tensor)
    return node is not None and node.op_type in _SHARED and _axis(node) in (-1, 2)


def _is_line(seen: Seen, tensor: Tensor) -> bool:
    """Rows of scores that a recurrent layer gives, or something whose length depends on the width of the picture."""
    rows = len(tensor.shape) == 3 or 0 in tensor.shape[1:]
    return rows and any(kind.endswith(_RECURRENT) for kind in seen.kinds)


def _last(seen: Seen, tensor: Tensor) -> NodeProto | None:
    """What computed the numbers, whatever moved them since."""
    node = seen.makers.get(tensor.name)
    while node is not None and node.op_type in _SILENT and node.input:
        node = seen.makers.get(node.input[0])
    return node


def _axis(node: NodeProto) -> int:
    return next((int(helper.get_attribute_value(each)) for each in node.attribute if each.name == "axis"), -1)
