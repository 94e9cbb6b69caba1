"""From frames to results on one box: who waits, who runs, who goes to the cloud, and how each frame ends.

`lane` decides without I/O (frames and answers in, actions out); `run` acts on it; `board` holds the lanes of a box.
"""
