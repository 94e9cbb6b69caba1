"""A whole Run of this recipe: prepare, fit, measure, evaluate as packaging does, export."""

from dataclasses import asdict, replace
from functools import partial

from safetensors.numpy import load
from safetensors.torch import save

from models.dataset.card import DETECTION, Made, Measured, card
from models.dataset.held_out import as_yolo
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
from models.worth import evaluated


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
    content = save(dict(sorted(weights.items())))
    write_whole(run.work / "weights.safetensors", content)
    title, size = Title(asked.model, asked.version), settings.size
    graph = to_bytes(detector_graph(detector(len(data.labels)), load(content), size, title))
    about = Facts(asked.model, asked.version, "detection", size, data.labels)
    with spent.on("measuring"):
        worth = evaluated(about, graph, partial(as_yolo, data.split.val), run)
    run.progress("export", 0, 1)
    made = Made(asdict(settings), facts("python -m models.detector run", machine, spent, sha256(content)))
    text = card(asked, DETECTION, data, Measured(precisions, overall, worth), made)
    return release_files(replace(about, judged=worth.judged), graph, text)
