"""Inference: one loaded release in one worker process behind the Engine port.

`engine` lives in the agent's main process and never touches pixels or onnxruntime; `worker` is the process it starts;
`session` is the only importer of onnxruntime. Between the two travel `messages`, and memory as memfd descriptors.
"""
