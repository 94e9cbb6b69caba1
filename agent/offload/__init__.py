"""The edge–cloud decision: what the box knows of itself and of the cloud, and where a frame goes.

Pure: values and `now` (monotonic seconds) in, values out. The wire to a cloud node is `agent.adapters.cloud_grpc`; who
acts on a decision is `agent.pipeline`.
"""
