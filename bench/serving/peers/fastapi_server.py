"""FastAPI over ONNX Runtime, bytes in and bytes out: `MODELS=FOLDER python fastapi_server.py PORT`.

The plain server that people write first, at its better: no JSON, no validation, the session in the thread pool.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

FOLDER = Path(os.environ["MODELS"])
SHAPES = {each["name"]: each["shape"] for each in json.loads((FOLDER / "models.json").read_text())}
SESSIONS = {
    name: onnxruntime.InferenceSession(str(FOLDER / f"{name}.onnx"), providers=["CPUExecutionProvider"])
    for name in SHAPES
}
app = FastAPI()


def infer(name: str, body: bytes) -> bytes:
    (found,) = SESSIONS[name].run(None, {"x": np.frombuffer(body, np.float32).reshape(SHAPES[name])})
    return bytes(found.tobytes())


@app.post("/infer/{name}")
async def answer(name: str, request: Request) -> Response:
    body = await request.body()
    return Response(await run_in_threadpool(infer, name, body), media_type="application/octet-stream")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
