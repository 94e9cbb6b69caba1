"""The sample model: a small anchor-free detector for the drawn harbour, and everything it takes to make it again.

Rules that hold here: torch is imported by `model` and `train` only, so export, evaluation and the card run, and are
checked, without it; of our own code this package imports the drawing of the scene and the manifest, nothing else.
"""
