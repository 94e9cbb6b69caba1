"""What `bench.bench_gpu` measures: raw batches with bound memory, streams through the agent's lane, training, the GPU.

figures    cost line, gain of batching, goals; pure
raw        ONNX Runtime with inputs bound on the device, batch by batch
streams    synthetic cameras through the real lane and engine, added until frames come late
nvidia     how busy a GPU is, from nvidia-smi
training   the sample model's recipe, in the environment that has torch
"""
