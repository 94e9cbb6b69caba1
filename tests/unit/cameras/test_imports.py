"""What the agent's main process loads for its cameras."""

from __future__ import annotations

import subprocess
import sys


def test_the_main_process_side_loads_no_pixels() -> None:
    code = "import sys, agent.cameras.capture; print(sorted({'cv2', 'av', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_worker_of_drawn_cameras_loads_no_decoder() -> None:
    code = "import sys, agent.cameras.worker; print(sorted({'av', 'agent.cameras.source_av'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
