"""Why a model is refused: one id per rule, which is stable, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

MAX_DETAIL = 400  # characters: names in a file may be as long as the file


class Rule(StrEnum):
    """In the order in which they are asked."""

    SIZE = "size"
    NOT_ONNX = "not-onnx"
    BOUNDS = "bounds"
    EXTERNAL_DATA = "external-data"
    EP_CONTEXT = "ep-context"
    DOMAIN = "domain"
    OPERATOR = "operator"
    FUNCTION = "function"
    METADATA = "metadata"
    OPSET = "opset"
    NODES = "nodes"
    DEPTH = "depth"
    LOOP = "loop"
    WEIGHTS = "weights"
    SHAPE = "shape"
    UNSOUND = "unsound"
    MANIFEST = "manifest"
    TRIAL = "trial"
    TRIAL_MEMORY = "trial-memory"
    TRIAL_TIME = "trial-time"


_AGAIN = "export the model again"
_STANDARD = "export it with standard operators, or have the operator of the control plane allow it"
NEXT: Mapping[Rule, str] = {
    Rule.SIZE: "export a smaller model, or one of lower precision",
    Rule.NOT_ONNX: _AGAIN,
    Rule.BOUNDS: "export a smaller model, or have it made simpler",
    Rule.EXTERNAL_DATA: "save it as one file: onnx.save(onnx.load('model.onnx'), 'whole.onnx')",
    Rule.EP_CONTEXT: "push the model it was compiled from: boxes compile it for themselves",
    Rule.DOMAIN: _STANDARD,
    Rule.OPERATOR: _STANDARD,
    Rule.FUNCTION: "inline its functions: onnx.inliner.inline_local_functions",
    Rule.METADATA: "remove the entries: how a model runs is chosen on the box",
    Rule.OPSET: "export it with an older opset",
    Rule.NODES: "export a smaller model",
    Rule.DEPTH: "export it without control flow of so many levels",
    Rule.LOOP: "export it without this loop, or with fewer rounds",
    Rule.WEIGHTS: _AGAIN,
    Rule.SHAPE: "export it for smaller inputs",
    Rule.UNSOUND: _AGAIN,
    Rule.MANIFEST: "make the release with 'longshore package'",
    Rule.TRIAL: "try it with ONNX Runtime on your machine, and export it again",
    Rule.TRIAL_MEMORY: "export a smaller model, or one for smaller inputs",
    Rule.TRIAL_TIME: "export a faster model, or one for smaller inputs",
}


@dataclass(frozen=True)
class Refusal:
    """`detail` goes on in a sentence that begins with the file's name."""

    rule: Rule
    detail: str

    def sentence(self, path: str) -> str:
        """File, what is wrong, what to do, and the rule's id."""
        return f"{path} {printable(self.detail)}; {NEXT[self.rule]} (rule {self.rule})"


def printable(text: str) -> str:
    """Names from a file end up in logs and terminals, which obey control characters."""
    clean = "".join(each if each.isprintable() else "?" for each in text[: 2 * MAX_DETAIL])
    return clean if len(clean) <= MAX_DETAIL else f"{clean[: MAX_DETAIL - 1]}…"
