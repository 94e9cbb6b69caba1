"""A procedurally drawn harbour: what the synthetic camera shows and what the sample model learns from.

Rules that hold here: numpy and cv2 only, and nothing else of ours, because the training recipe imports this package;
the live scene and the training stills come from the same code and the same distribution of seeds and moments.
"""

from agent.cameras.harbour_scene.canvas import Truth
from agent.cameras.harbour_scene.scene import CLASSES, HarbourScene, random_scene

__all__ = ["CLASSES", "HarbourScene", "Truth", "random_scene"]
