"""Networks as data, and the two interpreters that walk them: `net` in torch to train, `graph` in ONNX to export.

Rules that hold here: torch is imported by `net`, `peaks` and `start` only; nothing here knows a recipe.
"""
