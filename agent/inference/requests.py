"""Does a request fit a loaded model? Pure: signature and tensors in, nothing or BadInput out.

Checked once, before anything is copied or sent to a worker, the same way by every Engine adapter. Nothing is looked at
but names, datatypes, shapes and sizes. An `image` input of a release that takes pictures may come as one BYTES element
(JPEG or PNG) in place of its pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.inference.datatypes import BYTES, check_size, elements
from agent.inference.errors import BadInput
from agent.ports import ModelSignature, Tensor, TensorSpec

IMAGE = "image"
LABELS = "labels"  # an output only picture requests have: the names of `classes`, as BYTES
Form = tuple[list[tuple[str, str, tuple[int, ...], int]], tuple[str, ...]]  # inputs and outputs: all but the values
MAX_PICTURES = 32  # per request, as pixels: nothing can interrupt a request, and a camera's frame may wait behind it


class Checks:
    """Those of one loaded model. A request that is formed as the last one that passed is not looked at again."""

    def __init__(self, signature: ModelSignature, *, image: bool) -> None:
        """`image`: as for `check`."""
        self._signature = signature
        self._image = image
        self._form: Form | None = None
        self._rows = 1

    def passed(self, tensors: Sequence[Tensor], outputs: Sequence[str] | None) -> int:
        """Examples in the request. Raises BadInput, as `check`."""
        asked = tuple(outputs) if outputs else ()
        form = [(each.name, each.datatype, each.shape, each.nbytes) for each in tensors], asked
        if form != self._form:
            check(self._signature, tensors, outputs, image=self._image)
            self._rows = 1 if self._image and is_picture(tensors) else rows(self._signature, tensors)
            self._form = form
        return self._rows


def is_picture(tensors: Sequence[Tensor]) -> bool:
    """Is this request one encoded picture?"""
    return len(tensors) == 1 and tensors[0].name == IMAGE and tensors[0].datatype == BYTES


def check(signature: ModelSignature, tensors: Sequence[Tensor], outputs: Sequence[str] | None, *, image: bool) -> None:
    """Raises BadInput with the first thing that is wrong.

    `image`: the release declares a picture input, so that an encoded picture may stand for it.
    """
    picture = image and is_picture(tensors)
    if picture:
        _check_picture(tensors[0])
    else:
        _check_tensors(signature, tensors)
        if image and tensors[0].shape[0] > MAX_PICTURES:
            raise BadInput(f"{tensors[0].shape[0]} pictures came; send at most {MAX_PICTURES} per request")
    if len(set(outputs or ())) != len(outputs or ()):
        raise BadInput("an output is asked for twice")
    known = {spec.name for spec in signature.outputs} | ({LABELS} if picture else set())
    for name in outputs or ():
        if name not in known:
            raise BadInput(f"output {name!r} does not exist; this model gives {', '.join(sorted(known))}")


def _check_picture(tensor: Tensor) -> None:
    if elements(tensor.name, tensor.shape) != 1 or len(tensor.shape) > 2:
        raise BadInput(f"input 'image': {list(tensor.shape)} pictures came; send one per request, shape [1]")


def _check_tensors(signature: ModelSignature, tensors: Sequence[Tensor]) -> None:
    specs = {spec.name: spec for spec in signature.inputs}
    names = [tensor.name for tensor in tensors]
    if sorted(names) != sorted(specs):
        raise BadInput(f"inputs must be exactly {', '.join(sorted(specs))}, but {', '.join(names) or 'none'} came")
    for tensor in tensors:
        _check_tensor(specs[tensor.name], tensor)


def _check_tensor(spec: TensorSpec, tensor: Tensor) -> None:
    if tensor.datatype != spec.datatype:
        raise BadInput(f"input {spec.name!r} must be {spec.datatype}, but {tensor.datatype} came")
    check_size(tensor.name, tensor.datatype, tensor.shape, tensor.nbytes)
    if not fits(spec.shape, tensor.shape):
        raise BadInput(f"input {spec.name!r} must have shape {list(spec.shape)}, but {list(tensor.shape)} came")


def rows(signature: ModelSignature, tensors: Sequence[Tensor]) -> int:
    """How many examples a checked request holds: the longest first side that the graph leaves free; else 1.

    The only side of a vector is its length, not a count of examples.
    """
    came = {tensor.name: tensor.shape for tensor in tensors}
    batches = [came[spec.name][0] for spec in signature.inputs if len(spec.shape) > 1 and spec.shape[0] == -1]
    return max(batches, default=1) or 1


def fits(declared: Sequence[int], came: Sequence[int]) -> bool:
    """Is `came` a shape that `declared` allows (-1: any size)?"""
    return len(declared) == len(came) and all(want in (-1, got) for want, got in zip(declared, came, strict=True))
