"""OpenVINO on the processor, and nowhere else: a graph in one precision, as it was asked for.

Only worker processes that were told to use it import this module, and `probe`. Rules that hold here:
- The precision is said and read back: what OpenVINO would choose by itself depends on the processor.
- It is given bytes and keeps no cache; of its Python package, what reports its use to its maker is not imported.
- What it loads lies in memory before a worker gives up its rights (`preload`), and no thread is started by then.
- A thread of its own for each call at once, or all for one; bound to no core, since cameras share them.
- Vendor errors end here, in one sentence.
"""

from __future__ import annotations

import functools
import io
import re
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from agent.inference.errors import BadInput, BadModel
from agent.inference.graph import Array
from agent.ports import ModelSignature
from agent.providers import OPENVINO
from protos.errors import Fatal, Retryable

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # importing it fails, which OpenVINO expects

import openvino as ov  # noqa: E402
from openvino import frontend  # noqa: E402

DEVICE = "CPU"
_WHERE = re.compile(r"Exception from |Check '|While |.*://")  # lines that say where in its source it was raised
_SHORT = re.compile(r"bad_alloc|allocate|out of memory|ENOMEM", re.IGNORECASE)
_NO_CODE = "can't protect"  # what its compiler says where memory may not become code
_ERRORS = (
    frontend.GeneralFailure,
    frontend.InitializationFailure,
    frontend.NotImplementedFailure,
    frontend.OpConversionFailure,
    frontend.OpValidationFailure,
    RuntimeError,
    TypeError,
    ValueError,
)
_NAMES = {"f32": "float32", "bf16": "bfloat16"}


class OpenvinoSession:
    """One loaded graph; see agent.inference.graph."""

    def __init__(
        self, model: bytes, signature: ModelSignature, precision: str, streams: int, threads: int | None = None
    ) -> None:
        """`signature`: what ONNX Runtime says the graph takes and gives. `streams`: calls at once, a thread each,
        unless they have `threads`.

        Raises:
            BadModel: OpenVINO does not take this graph. Retryable: no memory. Fatal: not on this box.
        """
        self.signature = signature
        self._precision = precision
        self._compiled = _compiled(model, precision, streams, threads or streams)
        self._outputs = {name: output for output in self._compiled.outputs for name in output.get_names()}
        if missing := _missing(self._compiled, signature):
            raise BadModel(f"OpenVINO drops tensor {missing!r} of this graph")
        self._idle = deque[Any]()  # of its requests, each for one call at a time

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
        """See Graph."""
        names = outputs or [spec.name for spec in self.signature.outputs]
        try:
            return self._answers(feeds, names)
        except MemoryError as error:
            raise Retryable("not enough memory for this inference") from error
        except _ERRORS as error:
            if _SHORT.search(str(error)):
                raise Retryable("the box cannot run this inference now: not enough memory") from error
            raise BadInput(f"the model cannot run on this input: {sentence(error)}") from error

    def _answers(self, feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            # It copies inputs: what it shared, it would hold on to when the call has ended.
            results = request.infer(dict(feeds))
            return [results[self._outputs[name]] for name in names]
        finally:
            self._idle.append(request)

    def alone(self, model: bytes, cores: int) -> OpenvinoSession:
        """See Graph."""
        return OpenvinoSession(model, self.signature, self._precision, 1, cores)


def preload() -> list[str]:
    """Have everything in memory that a graph needs; the precisions that this processor computes in.

    Raises Fatal where a library of OpenVINO is missing.
    """
    try:
        core, _ = _runtime()
        known = core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    except (RuntimeError, ImportError, OSError) as error:
        raise Fatal(f"OpenVINO does not start ({sentence(error)}); install it again") from error
    return [precision for precision, name in (("f32", "FP32"), ("bf16", "BF16")) if name in known]


def providers() -> list[str]:
    """Our names of the precisions that this processor computes in."""
    known = preload()
    return [name for name, precision in OPENVINO.items() if precision in known]


@functools.cache
def _runtime() -> tuple[Any, Any]:
    """OpenVINO's core, and the one of its readers that knows ONNX: model bytes meet no other."""
    return ov.Core(), frontend.FrontEndManager().load_by_framework("onnx")


def _compiled(model: bytes, precision: str, streams: int, threads: int) -> Any:
    core, reader = _runtime()
    if precision not in preload():
        raise Fatal(f"this processor does not compute in {precision}; choose --provider cpu")
    try:
        graph = ov.Model(reader.convert(reader.load(io.BytesIO(model))))
        compiled = core.compile_model(graph, DEVICE, _settings(precision, streams, threads))
    except MemoryError as error:
        raise Retryable("the box has not enough memory to load the model") from error
    except _ERRORS as error:
        raise _not_compiled(error) from error
    runs_in = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if runs_in not in (precision, _NAMES[precision]):
        raise Fatal(f"OpenVINO runs the graph in {runs_in} where {precision} was asked for; choose --provider cpu")
    return compiled


def _settings(precision: str, streams: int, threads: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": precision,
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,  # else it computes in int8 where it sees fit
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
        "CACHE_DIR": "",
    }


def _not_compiled(error: Exception) -> Exception:
    text = str(error)
    if _NO_CODE in text:
        return Fatal(
            "it writes code for each graph, and memory may not become code here; run 'longshore-agent join --install' "
            "with this --provider"
        )
    if _SHORT.search(text):
        return Retryable("the box cannot load the model now: not enough memory")
    return BadModel(f"OpenVINO does not load the model: {sentence(error)}")


def _missing(compiled: Any, signature: ModelSignature) -> str:
    taken = {name for each in compiled.inputs for name in each.get_names()}
    given = {name for each in compiled.outputs for name in each.get_names()}
    for wanted, there in ((signature.inputs, taken), (signature.outputs, given)):
        for spec in wanted:
            if spec.name not in there:
                return spec.name
    return ""


def sentence(error: BaseException) -> str:
    """What OpenVINO says, without where in its source, on one line at a length a person reads.

    It quotes names of the model, and what it says ends up in logs and terminals, which obey control characters.
    """
    lines = [line.strip(" -.") for line in str(error).splitlines()]
    told = [line for line in lines if line and not _WHERE.match(line)]
    last = told[-1] if told else type(error).__name__
    return " ".join("".join(each if each.isprintable() else " " for each in last).split())[:200]
