"""Recipes without torch: one that tells progress and writes a release in milliseconds, and how to make it misbehave.

`tiny` does what models/ do, by the same contract: settings.json in, progress.jsonl and work/ on the way, release/ out.
"""

from __future__ import annotations

import shutil
from pathlib import Path

MODEL = Path(__file__).parents[2] / "models/harbour/release/model.onnx"
RECIPE = """name = "{name}"
summary = "For tests"
task = "detection"
command = ["{{python}}", "{{folder}}/run.py"]

[settings.epochs]
default = 5
help = "times through"

[settings.pause]
default = 0.0
help = "seconds a step"

[settings.ends]
default = "well"
help = "well, badly, killed; waits: for a file `go`, after step 4"

[settings.half]
default = false
"""

SCRIPT = """
import hashlib, json, os, pathlib, signal, sys, time

folder = pathlib.Path(os.environ["LONGSHORE_RUN_DIR"])
told = json.loads((folder / "settings.json").read_text())
work = folder / "work"
work.mkdir(exist_ok=True)
stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
at = int((work / "step").read_text()) if (work / "step").exists() else 0
print(f"begins at step {at}", flush=True)
steps = told["epochs"] * 2
while at < steps:
    time.sleep(told["pause"])
    while told["ends"] == "waits" and at == 4 and not (folder / "go").exists() and not stopping:
        time.sleep(0.05)
    at += 1
    (work / "beside").write_text(str(at))
    (work / "beside").replace(work / "step")
    line = {"phase": "train", "step": at, "steps": steps, "epoch": (at + 1) // 2, "epochs": told["epochs"]}
    line |= {"loss": 1 / at, **({"metrics": {"mAP50": at / steps}} if at % 2 == 0 else {})}
    with (folder / "progress.jsonl").open("a") as file:
        file.write(json.dumps(line) + chr(10))
    if stopping:
        sys.exit(143)
    if at == 2 and told["ends"] == "badly":
        print("no picture in it", flush=True)
        sys.exit(3)
    if at == 2 and told["ends"] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
release = folder / "release"
release.mkdir(exist_ok=True)
model = pathlib.Path(__file__).with_name("model.onnx").read_bytes()
(release / "model.onnx").write_bytes(model)
entry = {"path": "model.onnx", "sha256": hashlib.sha256(model).hexdigest(), "size": len(model), "role": "model"}
manifest = {
    "schemaVersion": 1, "name": told["model"], "version": told["version"], "task": "detection", "labels": ["boat"],
    "input": {"name": "image", "height": 320, "width": 320, "fit": "letterbox", "pad": 114},
    "variants": [{"name": "fp32", "precision": "fp32", "file": "model.onnx"}], "files": [entry],
}
text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
(release / "manifest.json").write_text(text + chr(10))
"""


def write(folder: Path, name: str = "tiny", recipe: str = RECIPE, script: str = SCRIPT) -> Path:
    """A recipe below `folder`; gives its own folder."""
    made = folder / name
    made.mkdir(parents=True, exist_ok=True)
    (made / "recipe.toml").write_text(recipe.format(name=name) if recipe is RECIPE else recipe)
    (made / "run.py").write_text(script)
    shutil.copy(MODEL, made / "model.onnx")
    return made
