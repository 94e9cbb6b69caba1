"""The contract between the two planes: wire messages, ids, topics, the release manifest, outcome and error names.

Imports nothing of ours. Everything here is a value or a pure function; no file, socket or clock is touched.
"""
