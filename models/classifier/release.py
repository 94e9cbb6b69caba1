"""A whole Run of this recipe: prepare, fit, measure, evaluate as packaging does, export."""

from dataclasses import asdict, replace
from functools import partial

from safetensors.numpy import load
from safetensors.torch import save

from models.classifier.settings import Settings
from models.classifier.train import fitted, measured
from models.dataset.card import CLASSIFICATION, Made, Measured, card
from models.dataset.held_out import as_class_folders
from models.dataset.layout import read_classification
from models.dataset.prepare import prepared
from models.network.graph import Title, classifier_graph, to_bytes
from models.network.plan import classifier
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
        data = prepared(settings.wish(), read_classification, run.work, run.told("read"))
    run.say(f"{data.layout}: {len(data.split.train)} pictures to learn from, {len(data.split.val)} to measure on")
    with spent.on("fitting"):
        weights = fitted(settings, data, run, machine)
    with spent.on("measuring"):
        *shares, overall = measured(weights, settings, data, run, machine)
    run.progress("evaluate", len(data.split.val), len(data.split.val), metrics={"top1": round(overall, 5)})
    content = save(dict(sorted(weights.items())))
    write_whole(run.work / "weights.safetensors", content)
    title, size = Title(asked.model, asked.version), settings.size
    graph = to_bytes(classifier_graph(classifier(), load(content), size, title))
    about = Facts(asked.model, asked.version, "classification", size, data.labels)
    with spent.on("measuring"):
        worth = evaluated(about, graph, partial(as_class_folders, data.split.val, data.labels), run)
    run.progress("export", 0, 1)
    made = Made(asdict(settings), facts("python -m models.classifier run", machine, spent, sha256(content)))
    text = card(asked, CLASSIFICATION, data, Measured(shares, overall, worth), made)
    return release_files(replace(about, judged=worth.judged), graph, text)
