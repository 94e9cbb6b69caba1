"""Recipes: model definition, train, export, card. Run, never imported by the two planes; the only torch importers.

A folder with a `recipe.toml` is a recipe: `harbour` (the sample model), `detector` and `classifier` (a user's data).
What they share: `run` (the contract of a Run: settings, progress, checkpoints, stopping), `network` (layers as data, in
torch and in ONNX), `dataset` (a user's annotations and what is wrong with them), `metric` and `release`.
"""
