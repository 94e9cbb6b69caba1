"""Cloud help in the real demo, against its limits: `python -m bench.bench_cloud_help [--seconds N] [--json FILE]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench import cloud_help
from bench.telling import told
from tests.servers.demo import DemoTree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each phase")
    parser.add_argument("--json", type=Path, default=Path("bench/results/cloud_help.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = DemoTree(Path(folder) / "state")
        tree.start()
        try:
            tree.until("a first detection", lambda: tree.rows("SELECT 1 FROM detections LIMIT 1"), 60)
            phases = cloud_help.run(tree, options.seconds)
            terms = cloud_help.terms(tree)
        finally:
            tree.close()
    result = {"terms": terms, "phases": [asdict(phase) for phase in phases]}
    sys.exit(told(cloud_help.table(phases, terms), result, cloud_help.missed(phases), options.json))


if __name__ == "__main__":
    main()
