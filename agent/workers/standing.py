"""Where a worker's process stands before it looks at what others made."""

from __future__ import annotations

import os
import sys
import tempfile


def leave_the_file_system() -> None:
    """Stand in a deleted directory: relative names resolve to nothing. Modules already on the path stay reachable."""
    sys.path[:] = [entry or os.getcwd() for entry in sys.path]  # noqa: PTH109 - it is a string
    place = tempfile.mkdtemp()
    os.chdir(place)
    os.rmdir(place)  # noqa: PTH106
