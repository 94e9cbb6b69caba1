"""The process that looks into one ONNX file: question and file on standard input, one JSON answer on standard output.

A question with a task asks whether the file is what a manifest says; one without asks for its outline.

It gives itself its bounds before the first byte of the file: memory by its size, processor time, no file to write. Only
the shape of the graph is judged: inputs and outputs against the manifest's task, no data outside of the file, known
opset and operator domains. Whether it runs is for the box to prove on its own hardware before it swaps.
"""

from __future__ import annotations

import ctypes
import json
import resource
import signal
import sys
from typing import Any

from controlplane.registry.outline import outline

MEMORY_BYTES = 3 << 29  # address space for Python, the packages and what a small file needs
TIMES = 5  # the file is held that often while it is read, parsed and checked; at most
CPU_SECONDS = 50
MAX_NODES = 200_000
MAX_SENTENCE = 500  # characters of an answer: names in the file may be as long as the file
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
OUTPUTS = {"detection": {"boxes": 3, "scores": 2, "classes": 2}, "classification": {"scores": 2}, "tensor": {}}
PACKAGE = "make the release with 'longshore package'"


class Problem(Exception):
    """What is wrong, continuing a sentence that begins with the file's name."""


def bound(size: int = 0) -> None:
    """For a file of `size` bytes."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    memory = MEMORY_BYTES + TIMES * size
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def check(content: bytes, task: str, image: dict[str, Any] | None) -> None:
    """Raises Problem."""
    model = _parsed(content)
    _check_inside(model)
    _check_sound(model)
    _check_input(model, image)
    _check_outputs(model, OUTPUTS[task])


def _parsed(content: bytes) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, RecursionError):
        raise Problem("is no ONNX file, or a part of it is missing; export the model again") from None
    if not model.graph.node or not model.opset_import:
        raise Problem("holds no ONNX graph; export the model again")
    if len(model.graph.node) > MAX_NODES:
        raise Problem(f"has {len(model.graph.node)} nodes, more than the {MAX_NODES} allowed")
    return model


def _check_sound(model: Any) -> None:
    import onnx

    try:
        onnx.checker.check_model(model, full_check=False)
    except onnx.checker.ValidationError as error:
        raise Problem(f"is no sound ONNX model ({_first_line(error)}); export the model again") from None
    except UnicodeDecodeError:  # the checker quotes the name it complains of
        raise Problem("is no sound ONNX model (a name in it is no text); export the model again") from None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200].rstrip(".")


def _check_inside(model: Any) -> None:
    """Nothing may point out of the file, and no operator may come from elsewhere."""
    from onnx.external_data_helper import _get_all_tensors, uses_external_data

    if any(uses_external_data(tensor) for tensor in _get_all_tensors(model)):
        raise Problem("keeps weights in another file; export it with the weights inside")
    own = {function.domain for function in model.functions}  # defined in the file itself
    foreign = sorted(_used(model) - DOMAINS - own)  # what is imported and not used harms nobody: exporters list many
    if foreign:
        raise Problem(f"uses operators of {foreign[0]!r}, which no box has; export it with standard operators")
    _check_opset(model)


def _used(model: Any) -> set[str]:
    """Domains of all operators, those of inner graphs and of the file's own functions too."""
    waiting, found = [*model.graph.node, *(node for each in model.functions for node in each.node)], set()
    while waiting:
        node = waiting.pop()
        found.add(node.domain)
        for attribute in node.attribute:
            waiting += [inner for graph in (attribute.g, *attribute.graphs) for inner in graph.node]
    return found


def _check_opset(model: Any) -> None:
    from onnx.defs import onnx_opset_version

    newest = onnx_opset_version()
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and not 1 <= entry.version <= newest:
            raise Problem(f"needs opset {entry.version}, known are 1 to {newest}; export it with an older opset")


def _check_input(model: Any, image: dict[str, Any] | None) -> None:
    import onnx

    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value.type.tensor_type for value in model.graph.input if value.name not in constants}
    if not inputs:
        raise Problem("takes no input; export the model again")
    if image is None:
        return
    tensor = inputs.get(image["name"])
    if tensor is None or len(inputs) > 1:
        raise Problem(f"must take one input {image['name']!r}, not {', '.join(sorted(inputs))}; {PACKAGE}")
    if tensor.elem_type != onnx.TensorProto.UINT8:
        raise Problem(f"must take its input {image['name']!r} as uint8; {PACKAGE}")
    shape = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    wanted = [shape[0] if shape else None, image["height"], image["width"], 3]
    if len(shape) != 4 or any(is_ not in (None, should) for is_, should in zip(shape, wanted, strict=True)):
        raise Problem(f"takes an input of shape {shape}, not [N, {image['height']}, {image['width']}, 3]; {PACKAGE}")


def _check_outputs(model: Any, wanted: dict[str, int]) -> None:
    outputs = {value.name: value.type.tensor_type for value in model.graph.output}
    if not outputs:
        raise Problem("gives no output; export the model again")
    for name, rank in wanted.items():
        if name not in outputs:
            raise Problem(f"gives no output {name!r}; {PACKAGE}")
        found = len(outputs[name].shape.dim)
        if outputs[name].HasField("shape") and found != rank:
            raise Problem(f"gives {name!r} with {found} dimensions, not {rank}; {PACKAGE}")


def judged(content: bytes, question: dict[str, Any]) -> str:
    """What is wrong, in one printable line; empty when nothing is. Raises ImportError: that is ours to mend."""
    try:
        check(content, question["task"], question["input"])
    except Problem as error:
        return _printable(str(error))
    except MemoryError:
        return "needs more memory to be read than is allowed; export a smaller model"
    except ImportError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a stranger's bytes make the parser raise is about those bytes
        return _printable(f"is no ONNX file that can be read ({type(error).__name__}); export the model again")
    return ""


def outlined(content: bytes) -> dict[str, Any]:
    """The answer about a file that was judged when it was pushed."""
    try:
        return {"problem": "", "outline": outline(_parsed(content))}
    except Problem as error:
        return {"problem": _printable(str(error))}
    except MemoryError:
        return {"problem": "needs more memory to be read than is allowed"}


def _printable(text: str) -> str:
    """Names from the file end up in logs and terminals, which obey control characters."""
    clean = "".join(each if each.isprintable() else "?" for each in text)
    return clean if len(clean) <= MAX_SENTENCE else f"{clean[: MAX_SENTENCE - 1]}…"


def main() -> None:
    question = json.loads(sys.stdin.buffer.readline())
    bound(question["bytes"])
    content = sys.stdin.buffer.read()
    print(json.dumps({"problem": judged(content, question)} if "task" in question else outlined(content)))


if __name__ == "__main__":
    main()
