"""Ask a running node for the served release with the real tritonclient, over both transports; prints what it said.

    python drive_release.py HTTP_PORT GRPC_PORT MODEL PICTURE.jpg PIXELS.npy

Runs under .venv-triton and knows nothing of ours. PIXELS is the same picture as the model wants it: uint8 [n, h, w, 3].
Prints one JSON object: transport → check → answer. Any surprise is an exception.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

Answer = dict[str, Any]


def main() -> None:
    http_port, grpc_port, model, picture, pixels = sys.argv[1:]
    encoded = np.array([Path(picture).read_bytes()], dtype=object)
    tensor = np.load(pixels)
    said = {}
    for name, module, port in (("http", triton_http, http_port), ("grpc", triton_grpc, grpc_port)):
        with module.InferenceServerClient(f"127.0.0.1:{port}") as client:
            said[name] = drive(module, client, model, encoded, tensor)
    print(json.dumps(said))


def drive(module: Any, client: Any, model: str, encoded: np.ndarray, tensor: np.ndarray) -> Answer:
    options = {"as_json": True} if module is triton_grpc else {}
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready(model),
        "server": client.get_server_metadata(**options),
        "model": client.get_model_metadata(model, **options),
        "encoded": infer(module, client, model, encoded, "BYTES"),
        "tensor": infer(module, client, model, tensor, "UINT8"),
        "unknown_ready": client.is_model_ready("nobody"),
        "unknown": refusal(module, client, tensor),
    }


def infer(module: Any, client: Any, model: str, array: np.ndarray, datatype: str) -> Answer:
    """Outputs by name, of the first picture."""
    image = module.InferInput("image", list(array.shape), datatype)
    image.set_data_from_numpy(array)
    result = client.infer(model, [image])
    names = [output["name"] for output in outputs(result)]
    return {name: plain(result.as_numpy(name)[0]) for name in names}


def outputs(result: Any) -> list[Answer]:
    is_grpc = isinstance(result, triton_grpc.InferResult)
    response: Answer = result.get_response(as_json=True) if is_grpc else result.get_response()
    return list(response["outputs"])


def plain(array: np.ndarray) -> list[Any]:
    return [value.decode() for value in array] if array.dtype == object else array.tolist()


def refusal(module: Any, client: Any, tensor: np.ndarray) -> str:
    try:
        infer(module, client, "nobody", tensor, "UINT8")
    except InferenceServerException as error:
        return str(error)
    raise AssertionError("a model that nobody serves gave an answer")


if __name__ == "__main__":
    main()
