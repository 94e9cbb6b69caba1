"""`python -m models.detector run --set data=FOLDER`: pictures with boxes in, a release out (docs/own-data.md)."""

import argparse

from models.detector.settings import OWN, Settings
from models.run.command import add_run, run
from models.run.folder import RunFolder
from models.run.settings import Asked


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.detector", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add_run(verbs, "detector", "data=/data/yard", "learn boxes from your own COCO or YOLO folder (needs torch)")
    return run(Settings(), OWN, parser.parse_args(arguments), _released)


def _released(settings: Settings, asked: Asked, folder: RunFolder) -> dict[str, bytes]:
    from models.detector.release import released

    return released(settings, asked, folder)


if __name__ == "__main__":
    raise SystemExit(main())
