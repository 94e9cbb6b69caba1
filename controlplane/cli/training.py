"""Runs as the command line sees them: which recipe a word means, settings, the log, and how far one is. No printing."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from controlplane.cli.client import Client, Document, address
from controlplane.cli.kinds import at
from protos.errors import Rejected

FINISHED = ("Succeeded", "Failed", "Cancelled")
WAIT_SECONDS = 8.0  # one request for more of a log
_FILE = "recipe.toml"


def recipe(client: Client, word: str) -> Document:
    """The recipe that `word` names: its name, or its folder here when the control plane has the same.

    Raises:
        Rejected: the control plane does not know it, or another one under its name; it runs no code it is sent.
    """
    name, digest = _named(word)
    known = {str(each["metadata"]["name"]): each for each in client.listed("recipes")}
    if name not in known:
        raise Rejected(
            f"this control plane has no recipe {name!r}, and runs none that it is sent; it has "
            f"{', '.join(known) or 'none'}, and takes others from the folder in its --recipes"
        )
    found = known[name]
    if digest and found["spec"]["digest"] != digest:
        raise Rejected(
            f"{word}/{_FILE} differs from the recipe {name} that the control plane has in {found['spec']['folder']}; "
            f"bring the two together, or name it {name!r} to run that one"
        )
    if found["status"]["problem"]:
        raise Rejected(f"recipe {name} cannot be used: {found['status']['problem']}")
    return found


def _named(word: str) -> tuple[str, str]:
    """Name, and the digest of its file where that lies here; "" without one."""
    path = Path(word)
    try:
        content = (path / _FILE).read_bytes()
        name = str(tomllib.loads(content.decode()).get("name", path.name))
    except OSError:
        return path.name, ""
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"{path / _FILE} cannot be read: {error}") from error
    return name, f"sha256:{hashlib.sha256(content).hexdigest()}"


def settings(found: Document, pairs: Sequence[str], here: Path) -> dict[str, str]:
    """`NAME=VALUE` texts as they are sent. A path of this folder is sent whole: a recipe runs elsewhere.

    Raises Rejected.
    """
    texts = {each["name"]: each["default"] for each in found["spec"]["settings"] if each["type"] == "str"}
    given: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise Rejected(f"--set {pair!r} must be NAME=VALUE, such as --set epochs=2")
        given[name] = (
            str((here / Path(value).expanduser()).resolve()) if _is_path(value, texts.get(name), here) else value
        )
    return given


def _is_path(value: str, default: object, here: Path) -> bool:
    """`default`: of a text setting; None for any other. One without a default is asked for, and may be any name."""
    if default is None or not value:
        return False
    return value.startswith(("./", "../", "~/")) or value in {".", ".."} or (
        ("/" in value or default == "") and (here / value).exists()
    )  # fmt: skip


class RunLog:
    """The log of a Run, piece by piece."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._address = address("runs", name, "log")
        self._next = 0
        self.over = False

    def tail(self, lines: int) -> list[str]:
        """Its newest lines; `newer` goes on behind them."""
        return self._asked({"tail": lines})

    def newer(self, wait: float = WAIT_SECONDS) -> list[str]:
        """Lines that were not given yet. Raises Retryable."""
        return self._asked({"offset": self._next, "wait": wait})

    def _asked(self, params: Mapping[str, float]) -> list[str]:
        answer = self._client.call("GET", self._address, params=dict(params))
        self._next = int(answer.headers["Longshore-Next"])
        self.over = answer.headers["Longshore-End"] == "true"
        return answer.content.decode(errors="replace").splitlines()


def phase(run: Document) -> str:
    return str(run["status"]["phase"])


def measured(run: Document) -> list[str]:
    """Loss and metrics, as people read them."""
    told = at(run, "status.progress", {})
    loss = [f"loss {told['loss']:.4g}"] if told.get("loss") is not None else []
    return loss + [f"{name} {value:.3f}" for name, value in told.get("metrics", {}).items()]


def line(run: Document) -> str:
    """How far it is, in one line; empty before its recipe told anything."""
    told = at(run, "status.progress", {})
    if not told.get("phase"):
        return ""
    parts = [f"{told['phase']} {told['step']}/{told['steps'] or '?'}"]
    if told.get("epoch") is not None:
        parts.append(f"epoch {told['epoch']}/{told.get('epochs') or '?'}")
    left = told.get("secondsLeft")
    return ", ".join(parts + measured(run) + ([f"{spoken(left)} left"] if left is not None else []))


def spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def environment(trainer: Document) -> str:
    """What has to be fetched before the first Run, for people; empty when nothing has to.

    Raises:
        Rejected: nothing can be trained there.
    """
    if not trainer["canTrain"]:
        raise Rejected(f"training cannot run there: {trainer['message']}; {trainer['remedy']}")
    return "" if trainer["ready"] else str(trainer["message"])
