"""Bringing a release to this box: pull, verify, warm, swap, confirm, or roll back.

`machine`, `progress` and `verify` decide without I/O; `steps` and `deployment` act through ports (`store`, `serving`,
BlobSource, StateStore); `runner` owns one task per deployment. The old release answers until the new one has.
"""
