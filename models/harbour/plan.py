"""The sample model's numbers: what it sees, at which size, through which layers."""

from models.network.plan import PAD, STRIDE, TOP, Layer, max_log_reach, small_detector

__all__ = ["LABELS", "MAX_LOG_REACH", "PAD", "PLAN", "SIZE", "STRIDE", "TOP", "Layer"]

SIZE = 320  # pixels; input height and width
LABELS = ("boat", "container", "truck", "person")
MAX_LOG_REACH = max_log_reach(SIZE)
PLAN = small_detector(len(LABELS))  # the fullest scene holds about fifty objects, TOP are given
