"""What other servers need to serve the same models, as their users would write it.

Each file runs in the environment of its peer, where nothing of ours is installed: `MODELS` in the environment names
the folder of models.
"""
