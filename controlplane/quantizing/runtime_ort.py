"""ONNX Runtime for the making of variants: runs a graph, quantises or halves it, measures it. Only here in this plane.

Weights are quantised per channel and to 7 bits: processors without VNNI add two products in 16 bits, where 8-bit
weights overflow quietly, and which processor a box has is not known here. Its warnings and prints reach nobody.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlplane.quantizing import halves, regions
from controlplane.quantizing.domain import Attempt
from controlplane.quantizing.frames import Pixels
from protos.errors import Rejected
from protos.judged import Cost

OPSET = 17  # when a graph is older than LEAST_OPSET
LEAST_OPSET = 13  # quantising per channel came with it
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # heard when it is imported, below; it would tell its maker
ROUNDS = 31  # of a measurement
MOST_SECONDS = 20.0  # of a measurement
BATCHES = (1, 2, 4)  # pictures in a call, of a cost line

Progress = Callable[[], None]
Answer = dict[str, NDArray[Any]]


class Graph:
    """A loaded graph in our form, on one thread, as a box runs it."""

    def __init__(self, path: Path) -> None:
        """Raises Rejected when it does not load."""
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise Rejected(f"{path.name} does not load in ONNX Runtime: {_line(error)}") from error
        self._names = [each.name for each in self._session.get_outputs()]
        self._input = self._session.get_inputs()[0].name

    def run(self, pixels: Pixels) -> Answer:
        """The outputs for one picture, without the batch. Raises Rejected when the graph fails on it."""
        try:
            given = self._session.run(None, {self._input: pixels[np.newaxis]})
        except Exception as error:
            raise Rejected(f"the graph fails on a picture: {_line(error)}") from error
        return {name: value[0] for name, value in zip(self._names, given, strict=True)}

    def call(self, batch: Pixels) -> None:
        """Of [N, height, width, 3]. Raises what the runtime raises."""
        self._session.run(None, {self._input: batch})

    def takes(self, batch: Pixels) -> bool:
        """A graph may be fixed to one picture."""
        try:
            self.call(batch)
        except Exception:  # noqa: BLE001 - the runtime's own
            return False
        return True


def seconds(graphs: Sequence[Graph], pixels: Pixels) -> list[float]:
    """Median seconds of one picture for each, taken in turns so that a busy moment hits all alike."""
    times: list[list[float]] = [[] for _ in graphs]
    until = time.monotonic() + MOST_SECONDS
    for graph in graphs:
        graph.run(pixels)
    for _ in range(ROUNDS):
        for graph, taken in zip(graphs, times, strict=True):
            started = time.perf_counter()
            graph.run(pixels)
            taken.append(time.perf_counter() - started)
        if time.monotonic() > until:
            break
    return [statistics.median(taken) for taken in times]


def cost_lines(graphs: Sequence[Graph], pixels: Pixels) -> list[Cost]:
    """t(n) of each: the line through medians of calls of 1, 2 and 4 pictures, taken in turns.

    Of a graph whose batch is fixed all is put down to the pictures, so that a batch is not thought to pay.
    """
    batches = {n: np.repeat(pixels[np.newaxis], n, axis=0) for n in BATCHES}
    times: list[dict[int, list[float]]] = [
        {n: [] for n, batch in batches.items() if graph.takes(batch)} for graph in graphs
    ]
    until = time.monotonic() + MOST_SECONDS
    for _ in range(ROUNDS):
        for graph, taken in zip(graphs, times, strict=True):
            for n, seen in taken.items():
                started = time.perf_counter()
                graph.call(batches[n])
                seen.append(time.perf_counter() - started)
        if time.monotonic() > until:
            break
    return [_line_through({n: statistics.median(seen) for n, seen in taken.items()}) for taken in times]


def _line_through(medians: Mapping[int, float]) -> Cost:
    """Least squares with neither part below nothing."""
    counts, taken = np.array(list(medians), np.float64), np.array(list(medians.values()), np.float64)
    frame = call = 0.0
    if len(counts) > 1:
        frame, call = (float(part) for part in np.polyfit(counts, taken, 1))
    if frame <= 0.0:
        frame, call = 0.0, float(taken.mean())
    if call <= 0.0 or len(counts) == 1:
        frame, call = float(counts @ taken / (counts @ counts)), 0.0
    return Cost(frame=round(frame * 1e6), call=round(call * 1e6))


class Prepared:
    """One graph, ready to be made into several variants, and which of its layers stay as they are."""

    def __init__(self, model: Path, place: Path, exclude: Sequence[str] = ()) -> None:
        """`place`: a folder for what is made on the way. Raises Rejected for a graph that cannot be prepared."""
        self.path = place / "prepared.onnx"
        with _quiet(), _told("cannot be prepared for another precision"):
            graph = _prepare(model, self.path)
        layers = {node.name for node in graph.graph.node if node.op_type in regions.LAYERS}
        self.kept = regions.kept_in_fp32(graph)
        self._first, self._last = regions.first_layers(graph), regions.last_layers(graph)
        wished = set(regions.excluded((node.name for node in graph.graph.node), exclude))
        if exclude and not wished:
            some = ", ".join(sorted(layers)[:4])
            raise Rejected(f"--exclude matches no node; its layers are {some}, …")
        self.kept |= wished
        if not layers - self.kept:
            raise Rejected("there is no layer left to change: no convolution and no matrix product with weights")

    def left_out(self, attempt: Attempt) -> set[str]:
        """Names of the nodes that stay in fp32."""
        first = self._first if attempt.first else set()
        return self.kept | first | (self._last if attempt.last else set())


def quantized(prepared: Prepared, attempt: Attempt, pixels: Sequence[Pixels], target: Path, progress: Progress) -> None:
    """Write the int8 graph to `target`. `progress` is called once for each picture. Raises Rejected."""
    from onnxruntime import quantization as ort

    reader = _reader(ort.CalibrationDataReader, _input_name(prepared.path), pixels, progress)
    with _quiet(), _told("cannot be quantised"):
        ort.quantize_static(
            str(prepared.path),
            str(target),
            reader,
            quant_format=ort.QuantFormat.QDQ,
            op_types_to_quantize=list(regions.QUANTIZED),
            nodes_to_exclude=sorted(prepared.left_out(attempt)),
            per_channel=True,
            reduce_range=True,
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8,
            calibrate_method=ort.CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": attempt.averaged, "CalibMovingAverageConstant": 0.05},
        )


def halved(prepared: Prepared, attempt: Attempt, target: Path, rehearsal: Path) -> None:
    """Write the fp16 graph to `target`; it takes and gives what the fp32 graph does. Raises Rejected.

    `rehearsal`: the file to write what a GPU makes of it to, for this processor to run.
    """
    import onnx
    from onnxruntime.transformers import float16

    kept = prepared.left_out(attempt)
    with _quiet(), _told("cannot be halved"):
        graph = onnx.load(str(prepared.path))
        made = float16.convert_float_to_float16(graph, keep_io_types=True, node_block_list=sorted(kept))
        halves.tidy(made)
        onnx.save(made, str(target))
        graph = onnx.shape_inference.infer_shapes(onnx.load(str(prepared.path)))
        kinds = set(float16.DEFAULT_OP_BLOCK_LIST)
        halves.rehearse(graph, lambda node: node.name in kept or node.op_type in kinds, float16.ALWAYS_FLOAT_INPUTS)
        onnx.save(graph, str(rehearsal))


def _prepare(model: Path, target: Path) -> Any:
    """Batch normalisation folded, shapes inferred, every node named, an opset that knows ranges per channel."""
    import onnx
    from onnx import version_converter
    from onnxruntime.quantization.shape_inference import quant_pre_process

    graph = onnx.load(str(model))
    version = next((entry.version for entry in graph.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if version < LEAST_OPSET:
        model = target.with_name("newer.onnx")
        onnx.save(version_converter.convert_version(graph, OPSET), str(model))
    quant_pre_process(str(model), str(target), skip_symbolic_shape=True)
    graph = onnx.load(str(target))
    regions.name_nodes(graph)
    regions.drop_unused_domains(graph)  # the runtime notes every domain it knows, and the registry asks for each
    onnx.save(graph, str(target))
    return graph


def _input_name(model: Path) -> str:
    import onnx

    graph = onnx.load(str(model)).graph
    weights = {tensor.name for tensor in graph.initializer}
    return next(str(value.name) for value in graph.input if value.name not in weights)


def _reader(base: Any, name: str, pixels: Sequence[Pixels], progress: Progress) -> Any:
    """The pictures, one by one, as the quantiser asks for them."""

    class Reader(base):  # type: ignore[misc]  # the runtime has no types
        def __init__(self) -> None:
            self._left: Iterator[Pixels] = iter(pixels)

        def get_next(self) -> dict[str, Pixels] | None:
            picture = next(self._left, None)
            if picture is None:
                return None
            progress()
            return {name: picture[np.newaxis]}

    return Reader()


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except Rejected:
        raise
    except Exception as error:
        raise Rejected(f"the graph {what}: {_line(error)}; export it with opset {OPSET}, or stay with fp32") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
