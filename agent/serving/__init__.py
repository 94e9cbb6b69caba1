"""The Open Inference Protocol v2 on the box: REST and gRPC over one data plane.

`dataplane` knows models and requests but no transport; the two servers know a transport each and convert, call,
convert. Errors say what the caller should do; each transport has one table that turns them into its codes. Metrics are
served beside them, and `access` holds for all three.
"""
