"""A detector for a user's own boxes: COCO or YOLO folder in, release out."""
