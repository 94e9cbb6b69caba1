"""`python -m models.harbour train | evaluate | export | card | retrain`.

Rules that hold here: each verb is one function of the recipe plus printing; only `train` and `retrain` need torch;
`evaluate` is the one writer of the metric, and leaves a release whose card carries it.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from models.harbour.card import card
from models.harbour.evaluate import Report, agent_predictor, direct_predictor, evaluate
from models.harbour.export import HOME, sha256, write_release

TOLERANCE = 0.02  # mAP50 that a retraining may differ by
AGENT_PYTHON = HOME.parents[1] / ".venv" / "bin" / "python"  # the training environment has no agent in it


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    code: int = options.run(options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.harbour", description="The harbour sample model.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for name, run, text in (
        ("train", _train, "draw the training scenes and fit the detector (needs torch)"),
        ("evaluate", _evaluate, "measure the packaged release on the held-out scenes and write the card"),
        ("export", _export, "build the release from the weights, the same bytes every time"),
        ("card", _card, "print the model card"),
        ("retrain", _retrain, f"train afresh and compare mAP50 with the committed one, ±{TOLERANCE} (needs torch)"),
    ):
        verb = verbs.add_parser(name, help=text, description=text)
        verb.set_defaults(run=run)
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


def _train(options: argparse.Namespace) -> int:
    from models.harbour.train import Settings, changed, train

    train(changed(Settings(), options.set), options.home, options.stills)
    return _export(options)


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
    return 0


def _measure(options: argparse.Namespace, home: Path) -> Report:
    predictor = direct_predictor if options.direct else agent_predictor(options.agent_python)
    return evaluate(home / "release", predictor, options.scenes, "direct" if options.direct else "agent")


def _record(home: Path, report: Report) -> None:
    """Write the metric, with the digest of what was measured, into the provenance and so into the card."""
    file = home / "provenance.json"
    measured = sha256((home / "release" / "model.onnx").read_bytes())
    metric = {**asdict(report), "map50": report.map50, "onnx_sha256": measured}
    rounded = json.loads(json.dumps(metric), parse_float=lambda text: round(float(text), 4))
    provenance = {**json.loads(file.read_text()), "metric": rounded}
    file.write_text(json.dumps(provenance, indent=2, sort_keys=True) + "\n")
    write_release(home, home / "release")


def _retrain(options: argparse.Namespace) -> int:
    from models.harbour.train import Settings, changed, train

    committed = json.loads((options.home / "provenance.json").read_text())["metric"]["map50"]
    with tempfile.TemporaryDirectory(prefix="harbour-retrain-") as folder:
        train(changed(Settings(), options.set), Path(folder), options.stills)
        write_release(Path(folder), Path(folder) / "release")
        report = _measure(options, Path(folder))
    print(report.table())
    difference = report.map50 - committed
    print(f"committed {committed:.3f}, difference {difference:+.3f}, allowed ±{TOLERANCE}")
    return 0 if abs(difference) <= TOLERANCE else 1


if __name__ == "__main__":
    raise SystemExit(main())
