"""An object as a person edits it: text out, text in. Pure, but for `opened`.

What only boxes and the control plane write (`status` and most of `metadata`) is left out of the text; the
`resourceVersion` stays, so that somebody else's change meanwhile is seen and not lost. A refusal comes back into the
text as comments above it, and the text below is what was typed.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controlplane.cli import output
from protos.errors import Rejected

_KEPT = ("name", "labels", "annotations", "resourceVersion")
_HEAD = "# Edit and save; lines that begin with '#' are left out. An empty file, or one left as it is, changes nothing."
_REFUSED = "# refused: "


def text_of(document: Mapping[str, Any]) -> str:
    """What is opened at first."""
    metadata = {key: document["metadata"][key] for key in _KEPT if document["metadata"].get(key)}
    kept = {
        "apiVersion": document["apiVersion"],
        "kind": document["kind"],
        "metadata": metadata,
        "spec": document["spec"],
    }
    return f"{_HEAD}\n{output.as_yaml(kept)}\n"


def written(text: str) -> str:
    """The text without comments of whole lines, as it is compared and sent; empty: nothing is to be done."""
    lines = [line.rstrip() for line in text.splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).strip()


def with_refusal(text: str, sentence: str) -> str:
    """`text` again, with why it was refused above it."""
    told = "\n".join(f"{_REFUSED}{line}" for line in sentence.splitlines() or [""])
    return f"{_HEAD}\n{told}\n{written(text)}\n"


def opened(path: Path, environment: Mapping[str, str] = os.environ) -> str:
    """What is in `path` after the user's editor was there.

    Raises:
        Rejected: no editor could be run, or it ended with an error.
    """
    chosen = environment.get("LONGSHORE_EDITOR") or environment.get("VISUAL") or environment.get("EDITOR") or "vi"
    try:
        subprocess.run([*shlex.split(chosen), str(path)], check=True)
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise Rejected(f"there is no editor {chosen!r}; set EDITOR to one, such as EDITOR=nano") from error
    except subprocess.CalledProcessError as error:
        raise Rejected(f"the editor {chosen!r} ended with code {error.returncode}, so nothing was changed") from error
    except (ValueError, PermissionError) as error:
        raise Rejected(f"the editor {chosen!r} cannot be run ({error}), so nothing was changed") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(f"cannot read what the editor left in {path}: {error}") from error
