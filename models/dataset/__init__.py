"""A user's own pictures and annotations: COCO, YOLO and class folders, and everything that may be wrong with them.

Rules that hold here: no torch; nothing of a user's data is changed; every problem names its file, and its line where
the file has lines; all problems are found before training begins.
"""
