"""ONNX Runtime, and nowhere else: a session from verified bytes, its signature, one run; a graph compiled beforehand.

Only worker processes import this module, and `bench`, which is a process of its own. A session is built with exactly
one provider chain and fails when the runtime would quietly fall back to another. Threads: `intra_op` as asked,
`inter_op` 1; none waits busily between calls, since cameras share the cores. Vendor errors end here, in one sentence:
BadModel or BadInput where model or input are at fault, Retryable where the box is (memory, GPU), Fatal where it will
stay so until somebody mends it.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as native

from agent.inference.datatypes import FROM_ONNX
from agent.inference.errors import BadInput, BadModel
from agent.inference.graph import Array
from agent.inference.runtime import GPU_PROVIDERS
from agent.ports import ModelSignature, TensorSpec
from protos.errors import Fatal, Retryable

PROVIDERS = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
}
_NODE = re.compile(r"while running (\w+) node\. Name:'([^']*)'")
_SOURCE = re.compile(r"/onnxruntime_src/\S+ .*?\) ")  # where in its source an error was raised
# What the runtime says where the box is short of something: memory, here or on the GPU, or a GPU that works.
_SHORT = re.compile(r"bad_alloc|allocate memory|out of memory|smaller than requested|TensorRT libraries", re.IGNORECASE)
_GPU = re.compile(r"\bCU[A-Z]+ failure \d+: ([^;]*)")
_SILENT = 4  # log severity: fatal only; every error reaches us as an exception
_ERRORS = (
    native.EPFail,
    native.EngineError,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.NoModel,
    native.NoSuchFile,
    native.NotImplemented,
    native.RuntimeException,
    RuntimeError,
    ValueError,
)
ort.set_default_logger_severity(_SILENT)


def providers() -> list[str]:
    """Our names of the providers this runtime was built with."""
    available = set(ort.get_available_providers())
    return [name for name, chain in PROVIDERS.items() if chain[0] in available]


def preload_gpu_libraries() -> str:
    """Load CUDA and cuDNN where pip put them, as the runtime does not look there; what is missing, or ""."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # the runtime prints what it misses
        ort.preload_dlls()
    missing = (line.strip() for line in said.getvalue().splitlines() if line.startswith("Failed to load"))
    return next(missing, "")


class Spinning(Enum):
    """Whether threads of a session wait busily for work."""

    NEVER = auto()
    IN_CALLS = auto()  # for the next operator of a call under way: asleep, they would come too late for a short one
    ALWAYS = auto()  # between calls, too, for a while: the runtime's own default


class Session:
    """One loaded graph."""

    def __init__(
        self, model: bytes, provider: str = "cpu", threads: int = 1, *, spinning: Spinning = Spinning.NEVER
    ) -> None:
        """Raises BadModel, Retryable, Fatal."""
        self._provider = provider
        self._session = _load(model, provider, _options(threads, spinning=spinning))
        self.signature = _signature(self._session)

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
        """The named outputs, or all in the graph's order. Raises BadInput, Retryable."""
        try:
            result: list[Array] = self._session.run(outputs, dict(feeds))
        except MemoryError as error:
            raise Retryable("not enough memory for this inference") from error
        except _ERRORS as error:
            if trouble := _of_the_box(error):
                raise Retryable(f"the box cannot run this inference now: {trouble}") from error
            raise BadInput(f"the model cannot run on this input: {_sentence(error)}") from error
        return result

    def alone(self, model: bytes, cores: int) -> Session:
        """See Graph."""
        return Session(model, self._provider, cores, spinning=Spinning.IN_CALLS)


def compiled(model: bytes, options: Mapping[str, str], path: str) -> ModelSignature:
    """Have TensorRT write the graph, as it compiled it, to the file at `path`; the signature of what was compiled.

    `options` are those that decide what it compiles. Nothing is written where free dimensions are not among them. Where
    it takes a part of the graph only, that part alone is written: whoever uses it compares signatures. (ONNX Runtime's
    compile API gives nothing for this provider.) Raises BadModel, Retryable, Fatal.
    """
    dump = {"trt_dump_ep_context_model": "1", "trt_ep_context_embed_mode": "1", "trt_ep_context_file_path": path}
    return _signature(_load(model, "tensorrt", _options(0, spinning=Spinning.NEVER), {**options, **dump}))


def _chain(provider: str) -> list[str]:
    if provider not in PROVIDERS:
        raise Fatal(f"provider {provider!r} must be one of {', '.join(PROVIDERS)}")
    chain = PROVIDERS[provider]
    if chain[0] not in ort.get_available_providers():
        raise Fatal(f"this ONNX Runtime has no {chain[0]}; install onnxruntime-gpu or choose provider 'cpu'")
    return [name for name in chain if name in ort.get_available_providers()]


def _options(threads: int, *, spinning: Spinning) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _SILENT
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning is not Spinning.NEVER)))
    options.add_session_config_entry("session.force_spinning_stop", str(int(spinning is Spinning.IN_CALLS)))
    return options


def _load(
    model: bytes, provider: str, options: ort.SessionOptions, wishes: Mapping[str, str] = {}
) -> ort.InferenceSession:
    """`wishes` are options of the provider itself."""
    chain = _chain(provider)
    missing = preload_gpu_libraries() if provider in GPU_PROVIDERS else ""
    with _translated(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a fallback, which is refused below
        providers = [(chain[0], dict(wishes)), *chain[1:]]
        session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    if session.get_providers()[0] != chain[0]:
        # Passes: a box may start before its GPU does.
        why = missing or "no CUDA device answers; check the GPU driver"
        raise Retryable(f"{chain[0]} does not start on this box ({why}); mend it or choose provider 'cpu'")
    # It keeps the bytes for a fallback that is switched off: a second copy of the model, for good.
    session._model_bytes = None  # noqa: SLF001
    return session


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """What the runtime says of a graph, in our errors."""
    try:
        yield
    except (native.InvalidProtobuf, native.NoModel) as error:
        raise BadModel("the model is damaged or no ONNX file; push its release again") from error
    except MemoryError as error:
        raise Retryable("the box has not enough memory to load the model") from error
    except _ERRORS as error:
        if trouble := _of_the_box(error):
            raise Retryable(f"the box cannot load the model now: {trouble}") from error
        raise BadModel(f"the model does not load: {_sentence(error)}") from error


def _signature(session: ort.InferenceSession) -> ModelSignature:
    try:
        return ModelSignature(
            tuple(_spec(node) for node in session.get_inputs()), tuple(_spec(node) for node in session.get_outputs())
        )
    except UnicodeDecodeError as error:
        raise BadModel("the model does not load: the name of a tensor is no text") from error


def _spec(node: ort.NodeArg) -> TensorSpec:
    datatype = FROM_ONNX.get(node.type)
    if datatype is None:
        raise BadModel(f"tensor {node.name!r} is {node.type}, which the inference protocol cannot carry")
    return TensorSpec(node.name, datatype, tuple(d if isinstance(d, int) else -1 for d in node.shape))


def _of_the_box(error: BaseException) -> str:
    """What the box lacks, when that is what the runtime complains of; else ""."""
    text = str(error)
    if gpu := _GPU.search(text):
        return f"the GPU says {gpu[1].strip()!r}"
    if not _SHORT.search(text):
        return ""
    return "the TensorRT libraries are missing" if "TensorRT" in text else "not enough memory"


def _sentence(error: BaseException) -> str:
    """The runtime's message on one line, without its code prefix, at a length a person reads.

    It quotes names of the model, and what it says ends up in logs and terminals, which obey control characters.
    """
    text = _SOURCE.sub("", " ".join("".join(each if each.isprintable() else " " for each in str(error)).split()))
    if node := _NODE.search(text):
        return f"its {node[1]} operator {node[2]!r} fails"
    return text.rsplit(" : ", 1)[-1][:200] or type(error).__name__
