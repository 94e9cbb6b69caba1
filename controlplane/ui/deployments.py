"""What the pages of deployments show, and the document that the form stands for. Pure.

The form has one text per field. `document` turns it into what `longshore apply` takes, so that page, file and command
line say the same; what is wrong in it is the fleet's to say, as for any other caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controlplane.fleet import downloads, selectors
from controlplane.fleet.selection import Selected
from controlplane.registry.domain import StoredRelease
from controlplane.shape import moment
from controlplane.ui import figures, terms
from controlplane.ui.documents import as_text, condition, labels_of, name_of, to_write
from controlplane.ui.page import Document
from protos.errors import Rejected
from protos.ids import ModelName, Version, release_name
from protos.manifest import Manifest

Facts = dict[str, Any]
MOST_NAMED = 60  # boxes or cameras named in the preview; the others are counted
_STATES = {"Updated": "ok", "Failed": "bad", "Updating": "busy", "Waiting": "waiting"}
NOTES = ("Watching", "TermsFit")  # conditions that say what somebody may not have meant
_DOWNLOAD = ("rate", "window", "jitter")
DEFAULTS: Mapping[str, Any] = {
    "nodeSelector": "",
    "cameraSelector": "",
    "cloudSelector": "role=cloud",
    "deadline": "250ms",
    "latencyBudget": "none",
    "offload": True,
    "uplink": "4Mbit/s",
    "jpegQuality": 80,
    "minScore": 0.3,
    "detectionsPerSecond": 2,
    "classes": [],
    "events": True,
    "shadow": "",
    "shadowShare": 0.1,
    "downloadRate": "none",
    "downloadWindow": "always",
    "downloadJitter": "0s",
    **terms.DEFAULTS,
}


# ---- the list ----


def lines(documents: Iterable[Document]) -> list[Facts]:
    return [_line(item) for item in documents]


def _line(item: Document) -> Facts:
    spec, nodes = item["spec"], item["status"]["nodes"]
    converged = condition(item, "Converged")
    return {
        "name": name_of(item),
        "labels": labels_of(item),
        "model": spec["model"],
        "version": spec["version"],
        "release": _release_name(spec["model"], spec["version"]),
        "state": state(item),
        "word": _word(item),
        "why": converged["message"],
        "updated": nodes["updated"],
        "desired": nodes["desired"],
        "failed": nodes["failed"],
        "nodes": text_of(spec["nodeSelector"]) or "all boxes",
        "deadline": spec["objective"]["deadline"],
        "cloud": spec["offload"]["uplink"] if spec["offload"]["enabled"] else "",
        "created": item["metadata"]["creationTimestamp"],
    }


def state(item: Document) -> str:
    """One of `ok busy bad waiting`, for colour."""
    converged = condition(item, "Converged")
    if converged["status"] == "True":
        return "ok"
    return {"Updating": "busy", "Waiting": "waiting"}.get(converged["reason"], "bad")


def _word(item: Document) -> str:
    converged = condition(item, "Converged")
    words = {"NoBoxSelected": "no box", "ReleaseMissing": "release missing"}
    return "converged" if converged["status"] == "True" else words.get(converged["reason"], converged["reason"].lower())


def text_of(selector: Document) -> str:
    """A selector of a spec as people write it on a command line."""
    return str(selectors.from_spec(selector))


# ---- one of them ----


def deployment(item: Document, nodes: Sequence[Document], releases: Sequence[StoredRelease]) -> Facts:
    """`releases` are those of its model, oldest first."""
    spec = item["spec"]
    notes = [each["message"] for kind in NOTES if (each := condition(item, kind))["status"] == "False"]
    return {
        **_line(item),
        "generation": item["metadata"]["generation"],
        "boxes": boxes(item, nodes, releases),
        "facts": _facts(spec),
        "classes": list(spec.get("classes", ())),
        "notes": notes,
        "versions": _versions(item, releases),
        "conditions": [
            {
                "type": each["type"],
                "state": "ok" if each["status"] == "True" else "bad",
                "message": each["message"],
                "since": each["lastTransitionTime"],
            }
            for each in item["status"]["conditions"]
        ],
        "yaml": as_yaml(item),
    }


def _facts(spec: Document) -> list[tuple[str, str]]:
    offload = spec["offload"]
    cloud = f"up to {offload['uplink']} a box, JPEG {offload['jpegQuality']}" if offload["enabled"] else "off"
    return [
        ("Boxes", text_of(spec["nodeSelector"]) or "all"),
        ("Cameras", text_of(spec["cameraSelector"]) or "all of these boxes"),
        ("Cloud nodes", text_of(spec["cloudSelector"]) or "all"),
        ("Deadline", f"{spec['objective']['deadline']} from capture"),
        ("Latency budget", _latency_budget(spec["objective"])),
        ("Cloud help", cloud),
        ("Least score", f"{spec['minScore']:g}"),
        ("Classes", ", ".join(spec.get("classes", ())) or "all"),
        ("Shadow", _shadow_wish(spec["shadow"])),
        ("Download", _download_wish(spec["download"])),
        ("Recorded", f"up to {spec['detectionsPerSecond']:g} results a second and camera"),
        *terms.facts(spec["terms"]),
    ]


def _latency_budget(objective: Document) -> str:
    budget = objective["latencyBudget"]
    return "none" if budget == DEFAULTS["latencyBudget"] else f"{budget} an inference of a new release"


def _shadow_wish(shadow: Document) -> str:
    return f"{shadow['release']}, {100 * shadow['share']:g} % of the frames" if shadow["release"] else "none"


def _download_wish(download: Document) -> str:
    rate, window, jitter = download["rate"], download["window"], download["jitter"]
    said = ["at any time" if window == downloads.ALWAYS else f"{window}{'' if ' ' in window else ' where the box is'}"]
    said += [f"up to {rate} a box"] if rate != downloads.NO_CAP else []
    return ", ".join([*said, f"spread over {jitter}"] if jitter != DEFAULTS["downloadJitter"] else said)


def boxes(item: Document, nodes: Sequence[Document], releases: Sequence[StoredRelease]) -> list[Facts]:
    """Each box's step; those in trouble first, those that are done last."""
    known = {node["metadata"]["name"]: node for node in nodes}
    versions = {each.digest: each.version for each in releases}
    rows = [_box(item, step, known.get(step["node"]), versions) for step in item["status"]["boxes"]]
    return sorted(rows, key=lambda row: (["bad", "busy", "waiting", "ok"].index(row["state"]), row["node"]))


def _box(item: Document, step: Document, node: Document | None, versions: Mapping[Any, str]) -> Facts:
    reports = node["status"]["deployments"] if node else []
    report: Document = next((each for each in reports if each["name"] == item["metadata"]["name"]), {})
    total = report.get("bytesTotal", 0)
    pulling = step["state"] == "PULLING" and total
    digest = step["activeDigest"]
    return {
        "node": step["node"],
        "role": node["status"]["role"] if node else "",
        "phase": node["status"]["phase"].lower() if node else "gone",
        "state": _STATES.get(step["step"], "waiting"),
        "step": step["step"].lower(),
        "doing": "" if step["state"] in ("", "IDLE") else step["state"].lower().replace("_", " "),
        "percent": round(100 * report["bytesDone"] / total) if pulling else None,
        "runs": versions.get(digest) or (f"release {figures.short(digest)}" if digest else "nothing yet"),
        "variant": step["variant"],
        "shadow": _shadow(step["shadow"]),
        "message": step["message"],
    }


def _shadow(told: Document | None) -> str:
    """How the shadow compares on one box, in a sentence; empty where there is none."""
    if told is None:
        return ""
    if not told["answered"]:
        why = f"{told['failed']} frames failed" if told["failed"] else "it has seen no frame yet"
        return f"Shadow: it {told['message']}" if told["message"] else f"Shadow: {why}"
    # It runs on time that is left over: the same release takes longer there than where it answers.
    both = f"at most {1000 * told['inferSeconds']:.1f} ms a frame against {1000 * told['activeInferSeconds']:.1f} ms"
    failed = f", {told['failed']} failed" if told["failed"] else ""
    return f"Shadow: agrees on {100 * told['agreedShare']:.1f} % of {told['answered']} frames, {both}{failed}"


def _versions(item: Document, releases: Sequence[StoredRelease]) -> list[Facts]:
    """What it can be moved to, newest first, each with which way that is and the document that does it."""
    spec = item["spec"]
    names = [each.version for each in releases]
    at = names.index(spec["version"]) if spec["version"] in names else -1
    return [
        {
            "version": each.version,
            "name": each.name,
            "created": moment(each.created_ms),
            "current": index == at,
            "way": "forward" if index > at else "back",
            "document": {**to_write(item), "spec": {**spec, "version": each.version}},
        }
        for index, each in reversed(list(enumerate(releases)))
    ]


# ---- the form ----


def fields_of(item: Document) -> Facts:
    """The form of a stored deployment; `document(fields_of(d))` writes the same spec."""
    spec = item["spec"]
    return {
        "name": item["metadata"]["name"],
        "model": spec["model"],
        "version": spec["version"],
        **{key: text_of(spec[key]) for key in ("nodeSelector", "cameraSelector", "cloudSelector")},
        "deadline": spec["objective"]["deadline"],
        "latencyBudget": spec["objective"]["latencyBudget"],
        "offload": spec["offload"]["enabled"],
        "uplink": spec["offload"]["uplink"],
        "jpegQuality": spec["offload"]["jpegQuality"],
        "minScore": spec["minScore"],
        "detectionsPerSecond": spec["detectionsPerSecond"],
        "classes": list(spec.get("classes", ())),
        "events": spec["events"],
        "shadow": spec["shadow"]["release"],
        "shadowShare": spec["shadow"]["share"],
        **{f"download{key.capitalize()}": spec["download"][key] for key in _DOWNLOAD},
        **terms.fields_of(spec["terms"]),
    }


def choices(releases: Iterable[tuple[StoredRelease, Manifest | None]]) -> list[Facts]:
    """Releases to choose from, by model, newest first, each with its classes."""
    found: dict[str, list[Facts]] = {}
    for release, manifest in releases:
        classes = list(manifest.labels) if manifest else []
        found.setdefault(release.model, []).append(
            {"name": release.name, "version": release.version, "classes": classes}
        )
    return [{"model": model, "releases": lines[::-1]} for model, lines in sorted(found.items())]


def document(fields: Mapping[str, Any]) -> Facts:
    """What the form stands for. Raises Rejected, naming the field."""
    spec: Facts = {"model": fields.get("model", ""), "version": fields.get("version", "")}
    for key in ("nodeSelector", "cameraSelector", "cloudSelector"):
        spec[key] = _selector(str(fields.get(key, "")), key)
    spec["objective"] = {key: fields.get(key, DEFAULTS[key]) for key in ("deadline", "latencyBudget")}
    offload = {"uplink": fields.get("uplink", ""), "jpegQuality": _number(fields, "jpegQuality")}
    told = {key: value for key, value in offload.items() if value != ""}
    spec["offload"] = {"enabled": True, **offload} if fields.get("offload") else {"enabled": False, **told}
    spec["minScore"] = _number(fields, "minScore")
    if fields.get("classes"):
        spec["classes"] = list(fields["classes"])
    spec["detectionsPerSecond"] = _number(fields, "detectionsPerSecond")
    spec["events"] = bool(fields.get("events", DEFAULTS["events"]))
    if fields.get("shadow"):
        spec["shadow"] = {"release": fields["shadow"], "share": _number(fields, "shadowShare")}
    spec["download"] = {key: fields[field] for key in _DOWNLOAD if fields.get(field := f"download{key.capitalize()}")}
    if told := terms.written(fields):
        spec["terms"] = told
    name = {"name": fields.get("name", "")}
    return {"apiVersion": "longshore/v1", "kind": "Deployment", "metadata": name, "spec": spec}


def _selector(text: str, key: str) -> Facts:
    try:
        return dict(selectors.to_spec(selectors.parse(text)))
    except Rejected as error:
        raise Rejected(f"spec.{key}: {error}") from error


def _number(fields: Mapping[str, Any], key: str) -> float | int:
    """As it was written: 80 stays a whole number."""
    text = str(fields.get(key, DEFAULTS[key])).strip()
    try:
        number = float(text)
    except ValueError as error:
        raise Rejected(f"spec.{key} must be a number, not {text!r}") from error
    return int(number) if number.is_integer() else number


def as_yaml(item: Document) -> str:
    """To copy into a file that `longshore apply -f` takes."""
    metadata = {key: item["metadata"][key] for key in ("name", "labels") if item["metadata"].get(key)}
    kept = {"apiVersion": "longshore/v1", "kind": item["kind"], "metadata": metadata, "spec": dict(item["spec"])}
    return as_text(kept)


def preview(selected: Selected) -> Facts:
    """Which boxes and cameras a document selects, and what somebody should know before applying it."""
    edge, cloud, cameras = selected.nodes, selected.cloud, selected.cameras
    by_node: dict[str, list[str]] = {node["metadata"]["name"]: [] for node in edge}
    for camera in cameras:
        by_node.setdefault(camera["spec"]["node"], []).append(camera["metadata"]["name"])
    rows = [
        {"name": name, "phase": _phase(edge, name), "cameras": names, "more": 0}
        for name, names in list(by_node.items())[:MOST_NAMED]
    ]
    return {
        "boxes": rows,
        "more": max(0, len(by_node) - MOST_NAMED),
        "cloud": [node["metadata"]["name"] for node in cloud[:MOST_NAMED]],
        "summary": f"{figures.plural(len(edge), 'box', 'boxes')}, {figures.plural(len(cameras), 'camera', 'cameras')}",
        "warnings": selected.warnings,
    }


def _phase(nodes: Iterable[Document], name: str) -> str:
    return next((str(node["status"]["phase"]).lower() for node in nodes if node["metadata"]["name"] == name), "gone")


# ---- small parts ----


def _release_name(model: str, version: str) -> str:
    return str(release_name(ModelName(model), Version(version)))
