"""A whole Run of this recipe: prepare, fit, measure, export."""

from dataclasses import asdict

from safetensors.numpy import load
from safetensors.torch import save

from models.dataset.card import DETECTION, Made, Measured, card
from models.dataset.layout import read_detection
from models.dataset.prepare import prepared
from models.detector.settings import Settings
from models.detector.train import fitted, measured
from models.network.graph import Title, detector_graph, to_bytes
from models.network.judge import mean_precision
from models.network.plan import detector
from models.release import Facts, release_files, sha256
from models.run.folder import RunFolder, write_whole
from models.run.machine import this_machine
from models.run.minutes import Minutes
from models.run.origin import facts
from models.run.settings import Asked


def released(settings: Settings, asked: Asked, run: RunFolder) -> dict[str, bytes]:
    """The files of the release.

    Raises:
        Rejected: the pictures or a setting cannot be used, as the sentence says.
        Stopped: a stop was asked for; the same call goes on.
    """
    machine, spent = this_machine(settings.threads), Minutes(run.work)
    with spent.on("reading"):
        data = prepared(settings.wish(), read_detection, run.work, run.told("read"))
    run.say(f"{data.layout}: {len(data.split.train)} pictures to learn from, {len(data.split.val)} to measure on")
    with spent.on("fitting"):
        weights = fitted(settings, data, run, machine)
    with spent.on("measuring"):
        precisions = measured(weights, settings, data, run, machine)
    overall = mean_precision(precisions)
    run.progress("evaluate", len(data.split.val), len(data.split.val), metrics={"mAP50": round(overall, 5)})
    run.progress("export", 0, 1)
    content = save(dict(sorted(weights.items())))
    write_whole(run.work / "weights.safetensors", content)
    made = Made(asdict(settings), facts("python -m models.detector run", machine, spent, sha256(content)))
    text = card(asked, DETECTION, data, Measured(precisions, overall), made)
    graph = detector_graph(detector(len(data.labels)), load(content), settings.size, Title(asked.model, asked.version))
    return release_files(
        Facts(asked.model, asked.version, "detection", settings.size, data.labels), to_bytes(graph), text
    )
