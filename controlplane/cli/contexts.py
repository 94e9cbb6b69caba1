"""Which control plane to talk to, and as whom.

First found wins: options and environment (LONGSHORE_URL, LONGSHORE_TOKEN, LONGSHORE_CA) · `--context NAME` ·
`.longshore/context.yaml` in this folder or one above it, which `longshore up` writes · the current context of
~/.config/longshore/config.yaml, where `login` adds one, and `up` its own while it runs (controlplane.up.context). Files
are 0600: they hold tokens. Option and environment may also override the token or CA of a remembered context, but a
remembered token is never sent to another URL than the one it was stored for.

A file in a folder decides where a token of the environment goes, so one that somebody else could have put there (into
/tmp, or with a checkout) is refused: it counts only when it and its `.longshore` are this user's own and nobody
else may read or write it, which is how `longshore up` leaves it.

    # ~/.config/longshore/config.yaml
    current: harbour
    contexts:
      harbour: {url: "https://fleet.example:8443", token: lsk_…, ca: "-----BEGIN CERTIFICATE-----…"}
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from controlplane.files import PRIVATE, write_atomically
from protos.errors import Rejected

LOCAL = Path(".longshore") / "context.yaml"


@dataclass(frozen=True)
class Context:
    url: str
    token: str = field(default="", repr=False)
    ca_pem: str = ""  # what an https server must chain to; empty: the system's list
    name: str = ""
    state: str = ""  # of the `longshore up` that serves it; empty: another's


@dataclass(frozen=True)
class Wish:
    """What the command line and environment say."""

    context: str = ""
    url: str = ""
    token: str = field(default="", repr=False)
    ca_pem: str = ""


def wish(options: Mapping[str, Any], environment: Mapping[str, str]) -> Wish:
    ca = options.get("ca") or environment.get("LONGSHORE_CA") or ""
    return Wish(
        context=options.get("context_name") or environment.get("LONGSHORE_CONTEXT") or "",
        url=options.get("url") or environment.get("LONGSHORE_URL") or "",
        token=options.get("token") or environment.get("LONGSHORE_TOKEN") or "",
        ca_pem=_read(Path(ca)) if ca else "",
    )


def resolve(wished: Wish, folder: Path, config: Path) -> Context:
    """The context to use.

    Raises:
        Rejected: none is known, with the ways to name one; or the one in this folder cannot be trusted.
    """
    remembered = _remembered(wished, folder, config)
    if wished.url and (remembered is None or remembered.url != wished.url.rstrip("/")):
        return Context(wished.url.rstrip("/"), wished.token, wished.ca_pem)
    if remembered is None:
        raise Rejected(_nowhere(folder, config))
    return replace(remembered, token=wished.token or remembered.token, ca_pem=wished.ca_pem or remembered.ca_pem)


def _remembered(wished: Wish, folder: Path, config: Path) -> Context | None:
    local = None if wished.context else _local(folder)
    if local is not None:
        doubt = _doubt(local)
        if not doubt:
            return replace(_context(_load(local), str(local.parent)), state=str(local.parent))
        if not wished.url:
            raise Rejected(f"{local} {doubt}; remove it, or say which control plane you mean with --context or --url")
        return None  # the user said where to go, so nothing is asked of the file
    document = _load(config)
    name = wished.context or str(document.get("current") or "")
    contexts = document.get("contexts") or {}
    if not isinstance(contexts, dict) or not isinstance(contexts.get(name) or {}, dict):
        raise Rejected(
            f"{config} is not what 'longshore login' writes; mend or remove it, then run 'longshore login URL'"
        )
    found = contexts.get(name)
    if found is None and wished.context:
        raise Rejected(f"no context {name!r} in {config}; make it with 'longshore login URL --context {name}'")
    return _context(found, name) if found else None


def _nowhere(folder: Path, config: Path) -> str:
    """Where was looked, and what to do next."""
    looked = f"neither --url nor LONGSHORE_URL, no {LOCAL} in {folder} or above it, and no current context in {config}"
    names = ", ".join(sorted(_contexts(config, _load(config))))
    if names:
        todo = f"choose one with --context NAME or 'longshore context use NAME' (there are: {names})"
    else:
        todo = "start one with 'longshore up --demo', 'cd' to the folder where one runs, or 'longshore login URL'"
    return f"no control plane is named: {looked}; {todo}"


def _local(folder: Path) -> Path | None:
    """The nearest context file in `folder` or above."""
    for place in (folder, *folder.parents):
        try:
            (place / LOCAL).lstat()
        except OSError:
            continue
        return place / LOCAL
    return None


def _doubt(path: Path) -> str:
    """Why what lies in this folder may be somebody else's work, to follow the file's name; "" when it is ours.

    With the folder ours and no link in the way, nobody can put another file there between this look and the reading.
    """
    user = os.geteuid()
    for each in (path.parent, path):
        found = each.lstat()
        if found.st_uid != user:
            return f"is not yours, so it may lead your token elsewhere ({each.name} belongs to user {found.st_uid})"
        if stat.S_ISLNK(found.st_mode):
            return f"is not trusted, because {each.name} is a link"
        if each == path.parent and found.st_mode & 0o022:
            return f"may be replaced by other users of this machine; run 'chmod go-w {each}'"
    if found.st_mode & 0o077:
        return f"may be used by other users of this machine (mode {stat.S_IMODE(found.st_mode):04o}, not 0600)"
    return "" if stat.S_ISREG(found.st_mode) else "is no plain file"


def _context(document: Mapping[str, Any], name: str) -> Context:
    return Context(
        url=str(document.get("url") or "").rstrip("/"),
        token=str(document.get("token") or ""),
        ca_pem=str(document.get("ca") or ""),
        name=name,
        state=str(document.get("state") or ""),
    )


def config_path(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".config"
    return Path(base) / "longshore" / "config.yaml"


def remembered(config: Path) -> list[Context]:
    """All contexts of the file, by name. Raises Rejected."""
    return [_context(found, name) for name, found in sorted(_contexts(config, _load(config)).items())]


def current(config: Path) -> str:
    """The name of the current context; empty when there is none."""
    return str(_load(config).get("current") or "")


def choose(config: Path, name: str) -> None:
    """Make `name` the current context. Raises Rejected: there is none of that name."""
    with changing(config) as document:
        _named(config, document, name)
        document["current"] = name


def rename(config: Path, name: str, new_name: str) -> None:
    """Raises Rejected: there is none of that name, or one of the new name."""
    with changing(config) as document:
        kept = _named(config, document, name)
        if new_name in kept:
            raise Rejected(f"there is a context {new_name!r} already; delete it first, or choose another name")
        kept[new_name] = kept.pop(name)
        document["current"] = new_name if document["current"] == name else document["current"]


def forget(config: Path, name: str) -> None:
    """Remove `name` with its token; when it was the current one, none is current. Raises Rejected."""
    with changing(config) as document:
        del _named(config, document, name)[name]
        document["current"] = "" if document["current"] == name else document["current"]


def _named(config: Path, document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The contexts of the file, `name` among them. Raises Rejected."""
    kept: dict[str, Any] = document["contexts"]
    if name not in kept:
        there = f"there are {', '.join(sorted(kept))}" if kept else "'longshore login URL' makes one"
        raise Rejected(f"no context {name!r} in {config}; {there}")
    return kept


def _contexts(config: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    contexts = document.get("contexts") or {}
    if not isinstance(contexts, dict) or not all(isinstance(each, dict) for each in contexts.values()):
        raise Rejected(
            f"{config} is not what 'longshore login' writes; mend or remove it, then run 'longshore login URL'"
        )
    return dict(contexts)


def remember(config: Path, context: Context) -> None:
    """Add `context` to the file and make it the current one."""
    with changing(config) as document:
        document["contexts"][context.name] = plain(context)
        document["current"] = context.name


@contextmanager
def changing(config: Path) -> Iterator[dict[str, Any]]:
    """The file's `current` and `contexts`, to change in place: written when the block ends well, one writer at a time.

    Raises:
        Rejected: it is not ours, or cannot be written.
    """
    with _alone(config):
        document = _load(config)
        found = {"current": str(document.get("current") or ""), "contexts": _contexts(config, document)}
        yield found
        _write(config, found)


@contextmanager
def _alone(config: Path) -> Iterator[None]:
    """Commands and several `longshore up` write this file; the kernel frees the lock however its holder ends."""
    import fcntl

    try:
        config.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(config.with_name(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Rejected(f"cannot write {config}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write_local(state_dir: Path, context: Context) -> None:
    """What `longshore up` leaves in its state folder for commands run beside it."""
    _write(state_dir / LOCAL.name, plain(context))


def plain(context: Context) -> dict[str, str]:
    """As it lies in a file."""
    kept = {"url": context.url, "token": context.token, "ca": context.ca_pem}
    return {**kept, "state": context.state} if context.state else kept


def _load(path: Path) -> dict[str, Any]:
    import yaml

    if not path.is_file():
        return {}
    try:
        document = yaml.safe_load(_read(path))
    except yaml.YAMLError as error:
        raise Rejected(f"{path} is not YAML; mend or remove it, then run 'longshore login URL'") from error
    return document if isinstance(document, dict) else {}


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(f"cannot read {path}: {getattr(error, 'strerror', None) or 'not text'}") from error


def _write(path: Path, document: Mapping[str, Any]) -> None:
    """Raises Rejected."""
    import yaml

    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, yaml.safe_dump(dict(document), sort_keys=True).encode(), PRIVATE)
    except OSError as error:
        raise Rejected(f"cannot write {path}: {error.strerror}") from error
