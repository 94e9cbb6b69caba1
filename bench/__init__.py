"""Benchmarks: each one command, against a limit or a peer in the same run; JSON out and a table a person reads."""
