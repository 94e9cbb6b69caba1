"""`python -m models.classifier run --set data=FOLDER`: class folders in, a release out (docs/own-data.md)."""

import argparse

from models.classifier.settings import OWN, Settings
from models.run.command import add_run, run
from models.run.folder import RunFolder
from models.run.settings import Asked


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.classifier", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add_run(
        verbs, "classifier", "data=/data/yard", "learn from your own folders of pictures, one a class (needs torch)"
    )
    return run(Settings(), OWN, parser.parse_args(arguments), _released)


def _released(settings: Settings, asked: Asked, folder: RunFolder) -> dict[str, bytes]:
    from models.classifier.release import released

    return released(settings, asked, folder)


if __name__ == "__main__":
    raise SystemExit(main())
