"""Drive a served node with the real tritonclient, over both transports. Runs under .venv-triton, knows nothing of ours.

    python drive.py HTTP_PORT GRPC_PORT PICTURE

Serves must be: `sum` (a + b, FP32 [n, 3]), `text` (x → y, BYTES) and `harbour` (a detector). Prints one line per check;
any surprise is an exception.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException, shared_memory

A = np.array([[1, 2, 3]], dtype=np.float32)
B = np.array([[10, 20, 30]], dtype=np.float32)


def main() -> None:
    http_port, grpc_port, picture = sys.argv[1:]
    content = Path(picture).read_bytes()
    with triton_http.InferenceServerClient(f"127.0.0.1:{http_port}") as client:
        drive("http", triton_http, client, content)
        json_and_binary(client)
        compressed(client)
        asynchronous_http(client)
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{grpc_port}") as client:
        drive("grpc", triton_grpc, client, content)
        asynchronous_grpc(client)


def drive(transport: str, module: Any, client: Any, picture: bytes) -> None:
    for check in (health, metadata, tensors, text, pixels, errors, policy, statistics, repository, regions):
        check(module, client)
        print(transport, check.__name__, "ok")
    image(module, client, picture)
    print(transport, "image ok")


def health(module: Any, client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("sum")
    assert client.is_model_ready("sum", "1.0.0")
    assert not client.is_model_ready("none")


def metadata(module: Any, client: Any) -> None:
    options = {"as_json": True} if module is triton_grpc else {}
    server = client.get_server_metadata(**options)
    assert server["name"] == "longshore"
    model = client.get_model_metadata("sum", **options)
    assert model["platform"] == "onnxruntime_onnx"
    assert [tensor["name"] for tensor in model["inputs"]] == ["a", "b"]
    assert [int(side) for tensor in model["outputs"] for side in tensor["shape"]] == [-1, 3]


def _inputs(module: Any, **arrays: np.ndarray) -> list[Any]:
    made = []
    for name, array in arrays.items():
        datatype = {"f": "FP32", "O": "BYTES", "u": "UINT8"}[array.dtype.kind]
        made.append(module.InferInput(name, list(array.shape), datatype))
        made[-1].set_data_from_numpy(array)
    return made


def tensors(module: Any, client: Any) -> None:
    result = client.infer("sum", _inputs(module, a=A, b=B), model_version="1.0.0", request_id="7")
    assert (result.as_numpy("total") == A + B).all()
    result = client.infer("sum", _inputs(module, a=A, b=B), outputs=[module.InferRequestedOutput("total")])
    assert (result.as_numpy("total") == A + B).all()
    large = np.ones((100_000, 3), np.float32)
    assert (client.infer("sum", _inputs(module, a=large, b=large)).as_numpy("total") == 2).all()


def text(module: Any, client: Any) -> None:
    words = np.array(["quay", "", "Süd"], dtype=object)
    result = client.infer("text", _inputs(module, x=words)).as_numpy("y")
    assert [word.decode() for word in result] == list(words)


def image(module: Any, client: Any, picture: bytes) -> None:
    """The picture is 64x64 and white; the model's input is 32x64, so bars left and right go."""
    element = np.array([picture], dtype=object)
    result = client.infer("harbour", _inputs(module, image=element), parameters={"min_score": 0.5})
    assert result.as_numpy("boxes").shape == (1, 2, 4)
    assert np.allclose(result.as_numpy("boxes")[0, 0], [0.0, 0.25, 0.5, 0.75], atol=1e-6)
    assert np.allclose(result.as_numpy("scores"), [[0.9, 0.6]], atol=0.02)
    assert result.as_numpy("labels").tolist() == [[b"boat", b"truck"]]
    none = client.infer("harbour", _inputs(module, image=element), parameters={"min_score": 0.99})
    assert none.as_numpy("scores").shape == (1, 0)


def pixels(module: Any, client: Any) -> None:
    white = np.full((2, 32, 64, 3), 255, np.uint8)
    result = client.infer("harbour", _inputs(module, image=white))
    assert result.as_numpy("boxes").shape == (2, 4, 4)


def errors(module: Any, client: Any) -> None:
    refused(client, "none", _inputs(module, a=A, b=B), "no model")
    refused(client, "sum", _inputs(module, a=A), "inputs must be exactly a, b")
    refused(client, "sum", _inputs(module, a=A[:, :2], b=B), "must have shape")
    refused(client, "harbour", _inputs(module, image=np.array([b"nothing"], dtype=object)), "neither JPEG nor PNG")


def refused(client: Any, model: str, inputs: list[Any], words: str, **options: Any) -> None:
    said = ""
    try:
        client.infer(model, inputs, **options)
    except InferenceServerException as error:
        said = str(error)
    assert words in said, said or f"{model} took what it should refuse"


def policy(module: Any, client: Any) -> None:
    result = client.infer("sum", _inputs(module, a=A, b=B), priority=1, timeout=5_000_000)
    assert (result.as_numpy("total") == A + B).all()
    deadline = {"deadline_unix_ns": time.time_ns() + 10**10}
    assert client.infer("sum", _inputs(module, a=A, b=B), parameters=deadline).as_numpy("total") is not None
    refused(client, "sum", _inputs(module, a=A, b=B), "deadline_unix_ns", parameters={"deadline_unix_ns": 1})


def statistics(module: Any, client: Any) -> None:
    options = {"as_json": True} if module is triton_grpc else {}
    before = _statistics_of_sum(client, options)
    client.infer("sum", _inputs(module, a=np.ones((5, 3), np.float32), b=np.ones((5, 3), np.float32)))
    after = _statistics_of_sum(client, options)
    assert int(after["inference_count"]) - int(before["inference_count"]) == 5
    assert int(after["execution_count"]) - int(before["execution_count"]) == 1
    assert int(after["inference_stats"]["success"]["ns"]) > int(before["inference_stats"]["success"]["ns"])
    assert len(client.get_inference_statistics(**options)["model_stats"]) == 3


def _statistics_of_sum(client: Any, options: dict[str, Any]) -> Any:
    (found,) = client.get_inference_statistics("sum", "1.0.0", **options)["model_stats"]
    return found


def repository(module: Any, client: Any) -> None:
    options = {"as_json": True} if module is triton_grpc else {}
    index = client.get_model_repository_index(**options)
    lines = index["models"] if module is triton_grpc else index
    assert {(line["name"], line["state"]) for line in lines} >= {("sum", "READY"), ("text", "READY")}
    client.load_model("sum")
    said = []
    for change, model in ((client.unload_model, "sum"), (client.load_model, "nobody")):
        try:
            change(model)
        except InferenceServerException as error:
            said.append(str(error))
    assert len(said) == 2
    assert all("longshore apply" in each for each in said)


def regions(module: Any, client: Any) -> None:
    """Inputs in one region and the output in another, as NVIDIA's examples do it; small and large."""
    for rows in (1, 50_000):
        a, b = (np.full((rows, 3), value, np.float32) for value in (1, 2))
        given = shared_memory.create_shared_memory_region("given", f"/longshore-given-{os.getpid()}", 2 * a.nbytes)
        taken = shared_memory.create_shared_memory_region("taken", f"/longshore-taken-{os.getpid()}", a.nbytes)
        try:
            shared_memory.set_shared_memory_region(given, [a, b])
            client.register_system_shared_memory("given", f"/longshore-given-{os.getpid()}", 2 * a.nbytes)
            client.register_system_shared_memory("taken", f"/longshore-taken-{os.getpid()}", a.nbytes)
            inputs = [module.InferInput(name, [rows, 3], "FP32") for name in ("a", "b")]
            inputs[0].set_shared_memory("given", a.nbytes)
            inputs[1].set_shared_memory("given", b.nbytes, offset=a.nbytes)
            output = module.InferRequestedOutput("total")
            output.set_shared_memory("taken", a.nbytes)
            client.infer("sum", inputs, outputs=[output])
            assert (shared_memory.get_contents_as_numpy(taken, np.float32, [rows, 3]) == 3).all()
            assert (client.infer("sum", inputs).as_numpy("total") == 3).all()
            client.unregister_system_shared_memory("given")
            refused(client, "sum", inputs, "no shared memory region")
            client.unregister_system_shared_memory()
        finally:
            shared_memory.destroy_shared_memory_region(given)
            shared_memory.destroy_shared_memory_region(taken)


def json_and_binary(client: Any) -> None:
    for binary_in in (True, False):
        for binary_out in (True, False):
            inputs = [triton_http.InferInput(name, [1, 3], "FP32") for name in ("a", "b")]
            for tensor, array in zip(inputs, (A, B), strict=True):
                tensor.set_data_from_numpy(array, binary_data=binary_in)
            outputs = [triton_http.InferRequestedOutput("total", binary_data=binary_out)]
            result = client.infer("sum", inputs, outputs=outputs)
            assert (result.as_numpy("total") == A + B).all()
            assert ("data" in result.get_output("total")) is not binary_out
    words = triton_http.InferInput("x", [2], "BYTES")
    words.set_data_from_numpy(np.array(["a", "b"], dtype=object), binary_data=False)
    outputs = [triton_http.InferRequestedOutput("y", binary_data=False)]
    assert client.infer("text", [words], outputs=outputs).as_numpy("y").tolist() == ["a", "b"]
    print("http json and binary ok")


def compressed(client: Any) -> None:
    for algorithm in ("gzip", "deflate"):
        result = client.infer("sum", _inputs(triton_http, a=A, b=B), request_compression_algorithm=algorithm)
        assert (result.as_numpy("total") == A + B).all()
    print("http compressed ok")


def asynchronous_http(client: Any) -> None:
    calls = [client.async_infer("sum", _inputs(triton_http, a=A, b=B)) for _ in range(5)]
    assert all((call.get_result().as_numpy("total") == A + B).all() for call in calls)
    print("http async ok")


def asynchronous_grpc(client: Any) -> None:
    import queue

    answers: queue.Queue[Any] = queue.Queue()
    for _ in range(5):
        client.async_infer("sum", _inputs(triton_grpc, a=A, b=B), lambda result, error: answers.put((result, error)))
    for _ in range(5):
        result, error = answers.get(timeout=20)
        assert error is None
        assert (result.as_numpy("total") == A + B).all()
    print("grpc async ok")


if __name__ == "__main__":
    main()
