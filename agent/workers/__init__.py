"""Worker processes: how one is started, spoken to, given memory and restarted.

A worker is spawned (never forked from a threaded process), speaks msgspec messages over one AF_UNIX SOCK_SEQPACKET
pair, gets shared memory as memfd descriptors, and dies with its parent. Nothing has a name in the file system, so
nothing can be left behind by a kill -9.
"""
