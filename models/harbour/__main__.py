"""`python -m models.harbour run | train | evaluate | export | card | retrain`.

Rules that hold here: each verb is one function of the recipe plus printing; `run`, `train` and `retrain` need torch;
`evaluate` is the one writer of the metric and of what the release is worth, and leaves a release whose card carries the
one and whose manifest the other.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.harbour.card import card
from models.harbour.evaluate import Report, agent_predictor, direct_predictor, evaluate
from models.harbour.export import HOME, sha256, write_release
from models.harbour.settings import SAMPLE, Settings
from models.harbour.worth import LEAST_SCENES, worth
from models.run.command import add_run, run
from models.run.folder import RunFolder
from models.run.settings import Asked, changed
from models.worth import AGENT_PYTHON, UNTOLD, Breathe
from protos.errors import LongshoreError, Rejected

TOLERANCE = 0.02  # mAP50 that a retraining may differ by


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run_(options)
    except LongshoreError as error:
        print(f"{error}", file=sys.stderr)
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.harbour", description="The harbour sample model.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add_run(
        verbs, "harbour", "epochs=2", "draw, fit, measure and package, in the folder of a Run (needs torch)"
    ).set_defaults(run_=_run)
    for name, run_, text in (
        ("train", _train, "draw the training scenes and fit the detector (needs torch)"),
        ("evaluate", _evaluate, "measure the packaged release on the held-out scenes and write the card"),
        ("export", _export, "build the release from the weights, the same bytes every time"),
        ("card", _card, "print the model card"),
        ("retrain", _retrain, f"train afresh and compare mAP50 with the committed one, ±{TOLERANCE} (needs torch)"),
    ):
        verb = verbs.add_parser(name, help=text, description=text)
        verb.set_defaults(run_=run_)
        verb.add_argument("--home", type=Path, default=HOME, help="where weights and provenance lie")
        _options(verb, name)
    return parser


def _options(verb: argparse.ArgumentParser, name: str) -> None:
    if name in ("train", "retrain"):
        verb.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting")
        verb.add_argument("--stills", type=Path, help="a folder that keeps the drawn scenes between runs")
    if name in ("evaluate", "retrain"):
        verb.add_argument("--direct", action="store_true", help="onnxruntime in this process instead of the agent")
        verb.add_argument("--agent-python", default=_agent_python(), help="interpreter in which the agent runs")
        verb.add_argument("--scenes", type=int, help="only the first so many held-out scenes; nothing is written")


def _agent_python() -> str:
    return str(AGENT_PYTHON) if AGENT_PYTHON.exists() else sys.executable


def _run(options: argparse.Namespace) -> int:
    return run(Settings(), SAMPLE, options, _released)


def _released(settings: Settings, asked: Asked, folder: RunFolder) -> dict[str, bytes]:
    """The files of the release, its metric measured by the agent where there is one."""
    from models.harbour.train import train

    train(settings, folder, asked)
    files = write_release(folder.work, folder.work / "release")
    if settings.scenes and AGENT_PYTHON.exists():
        told = folder.told("evaluate")
        report = evaluate(folder.work / "release", agent_predictor(str(AGENT_PYTHON)), settings.scenes, told=told)
        print(report.table(), flush=True)
        files = _record(folder.work, report)
        return told_worth(settings.scenes, folder) or files
    return files


def told_worth(scenes: int, folder: RunFolder) -> dict[str, bytes]:
    """The release that tells its worth; no file where that cannot be told, as is said."""
    try:
        if scenes < LEAST_SCENES:
            raise Rejected(f"fewer than {LEAST_SCENES} scenes were measured on")
        return _tell_worth(folder.work, str(AGENT_PYTHON), scenes, folder.breathe)
    except Rejected as refused:
        folder.say(f"{UNTOLD}: {refused}")
        return {}


def _train(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="harbour-") as folder:
        run = RunFolder(Path(folder))
        _fit(options, run)
        for name in ("weights.safetensors", "provenance.json"):
            shutil.copy(run.work / name, options.home)
    return _export(options)


def _fit(options: argparse.Namespace, folder: RunFolder) -> None:
    from models.harbour.train import train

    train(changed(Settings(), options.set), folder, kept=options.stills)


def _export(options: argparse.Namespace) -> int:
    for name, content in sorted(write_release(options.home, options.home / "release").items()):
        print(f"{name:<14} {len(content):>8} bytes  sha256 {sha256(content)}")
    return 0


def _card(options: argparse.Namespace) -> int:
    print(card(json.loads((options.home / "provenance.json").read_text())), end="")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    # What is measured is what the weights that lie there give, and no older graph.
    write_release(options.home, options.home / "release")
    report = _measure(options, options.home)
    print(report.table())
    if options.scenes is None:
        _record(options.home, report)
        _tell_worth(options.home, options.agent_python)
    return 0


def _measure(options: argparse.Namespace, home: Path) -> Report:
    predictor = direct_predictor if options.direct else agent_predictor(options.agent_python)
    return evaluate(home / "release", predictor, options.scenes, "direct" if options.direct else "agent")


def _record(home: Path, report: Report) -> dict[str, bytes]:
    """Write the metric, with the digest of what was measured, into the provenance and so into the card."""
    measured = sha256((home / "release" / "model.onnx").read_bytes())
    metric = {**asdict(report), "map50": report.map50, "onnx_sha256": measured}
    rounded = json.loads(json.dumps(metric), parse_float=lambda text: round(float(text), 4))
    return _note(home, {"metric": rounded})


def _tell_worth(
    home: Path, python: str, scenes: int | None = None, breathe: Breathe = lambda: None
) -> dict[str, bytes]:
    """Write what the release is worth into the provenance and so into the manifest. Raises Rejected."""
    return _note(home, {"judged": worth(home / "release", python, scenes, breathe)})


def _note(home: Path, figures: Mapping[str, Any]) -> dict[str, bytes]:
    file = home / "provenance.json"
    provenance = {**json.loads(file.read_text()), **figures}
    file.write_text(json.dumps(provenance, indent=2, sort_keys=True) + "\n")
    return write_release(home, home / "release")


def _retrain(options: argparse.Namespace) -> int:
    committed = json.loads((options.home / "provenance.json").read_text())["metric"]["map50"]
    with tempfile.TemporaryDirectory(prefix="harbour-retrain-") as folder:
        run = RunFolder(Path(folder))
        _fit(options, run)
        write_release(run.work, run.work / "release")
        report = _measure(options, run.work)
    print(report.table())
    difference = report.map50 - committed
    print(f"committed {committed:.3f}, difference {difference:+.3f}, allowed ±{TOLERANCE}")
    return 0 if abs(difference) <= TOLERANCE else 1


if __name__ == "__main__":
    raise SystemExit(main())
