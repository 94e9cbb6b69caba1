"""A runtime of MLServer over ONNX Runtime; MLServer's settings name it for each model."""

from __future__ import annotations

import asyncio

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxModel(MLModel):
    """The session runs in a thread, so that requests beside it are read meanwhile."""

    async def load(self) -> bool:
        path = self.settings.parameters.uri
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feeds = {"x": NumpyCodec.decode_input(payload.inputs[0])}
        (found,) = await asyncio.to_thread(self._session.run, None, feeds)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", found)])
