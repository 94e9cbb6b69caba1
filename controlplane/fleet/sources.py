"""Where a camera's pictures come from: a URL, whose credentials are a secret.

The URL is stored whole and handed whole to the one box that owns the camera. Everybody else (REST, pages, logs,
errors) sees it with the user information replaced by `***`. Who writes that form back keeps the stored credentials,
as long as scheme and host stay the same: they are never sent to another host than the one they were given for.
No message made here contains any part of the text it refuses, but for a plain path, which holds no credentials: that
one is offered as the URL to copy.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, urlsplit

from protos.errors import Rejected

MASK = "***"
SCHEMES = ("rtsp", "rtsps", "file", "device", "synthetic")
_MAX_LENGTH = 2048  # of a URL that cameras and PyAV still take
_USER_INFO = re.compile(r"(?<=://)[^/?#]*@")
# Some cameras take the password in the path or query: .../user=admin_password=…_channel=1 or ?pwd=….
_SECRET_FIELD = re.compile(r"((?:pass|passwd|password|pwd|token|secret|auth|key)=)[^&/?#;]+", re.IGNORECASE)
_USER_INFO_IN_TEXT = re.compile(r"(?<=://)[^\s/?#]*@")
_VIDEOS = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".ts", ".m4v")
_EXAMPLES = "rtsp://host/stream, file:///clip.mp4, device:///dev/video0 or synthetic://harbour?seed=1"


def checked(source: object) -> str:
    """`source` if a box could open it.

    Raises:
        Rejected: with the rule that is broken, never with the text.
    """
    if not isinstance(source, str) or not source:
        raise Rejected(f"spec.source is needed: a URL such as {_EXAMPLES}")
    if _looks_like_a_path(source):
        raise Rejected(f"spec.source is a path; write it as a URL: {_as_url(source)}")
    if len(source) > _MAX_LENGTH or not source.isprintable() or " " in source:
        raise Rejected(f"spec.source must be at most {_MAX_LENGTH} printable characters without spaces")
    parts = _split(source)
    if parts.scheme not in SCHEMES:
        raise Rejected(f"spec.source must start with one of {', '.join(SCHEMES)}, such as {_EXAMPLES}")
    _RULES[parts.scheme](parts)
    return source


def _looks_like_a_path(source: str) -> bool:
    """A video's name alone is one, too; what has a ':' or '@' may be a URL with a slip in it, and hold a password."""
    if not source.isprintable() or len(source) > _MAX_LENGTH or source.startswith("//") or set(":@=?") & set(source):
        return False
    return source.startswith(("/", "./", "../", "~")) or source.lower().endswith(_VIDEOS)


def _as_url(path: str) -> str:
    if path.startswith("/dev/"):
        return f"device://{quote(path)}"
    if path.startswith("/"):
        return f"file://{quote(path)}"
    return f"file:// and its absolute path on the box, such as file:///srv/{quote(path.rpartition('/')[2])}"


def _split(source: str) -> SplitResult:
    try:
        parts = urlsplit(source)
        _ = parts.port  # checked on access only
    except ValueError:
        # `from None`: the cause repeats parts of the URL, which may hold a password.
        raise Rejected(f"spec.source is not a URL; write it like {_EXAMPLES}, with '@' in a password as %40") from None
    return parts


def _rtsp(parts: SplitResult) -> None:
    if not parts.hostname:
        raise Rejected("spec.source names no host; write it like rtsp://host:554/stream")
    user_info, _, _ = parts.netloc.rpartition("@")
    if "@" in user_info or "@" in parts.path + parts.query + parts.fragment:
        raise Rejected("spec.source has an '@' beside the one before the host; in a password write @ as %40, / as %2F")
    if parts.fragment:
        raise Rejected("spec.source has a '#', which a camera never gets to see; write it as %23")


def _path(parts: SplitResult) -> None:
    if parts.netloc or not parts.path.startswith("/") or parts.path == "/":
        raise Rejected(f"spec.source needs an absolute path after three slashes, like {parts.scheme}:///path")


def _synthetic(parts: SplitResult) -> None:
    if not parts.netloc or "@" in parts.netloc:
        raise Rejected("spec.source names no scene; write it like synthetic://harbour?seed=1")


_RULES = {"rtsp": _rtsp, "rtsps": _rtsp, "file": _path, "device": _path, "synthetic": _synthetic}


def stripped(source: str) -> str:
    """`source` as anybody may see it: user information and password fields replaced by `***`."""
    scheme, found, rest = _USER_INFO.sub(f"{MASK}@", source).partition("://")
    return scheme + found + _SECRET_FIELD.sub(rf"\g<1>{MASK}", rest)


def scrubbed(text: str) -> str:
    """Free text of a box (a reason, a log line) with the secrets of URLs in it replaced: boxes quote their cameras."""
    if "://" not in text:
        return text
    return _SECRET_FIELD.sub(rf"\g<1>{MASK}", _USER_INFO_IN_TEXT.sub(f"{MASK}@", text))


def merged(new: str, stored: str | None) -> str:
    """`new`, with the stored credentials put back where it shows only their mask.

    Raises:
        Rejected: nothing is stored that the mask could stand for, or it was stored for another host.
    """
    if MASK not in new:
        return new
    if stored is not None and stripped(stored) == new:
        return stored
    secrets = _USER_INFO.findall(stored or "")
    if _USER_INFO.findall(new) != [f"{MASK}@"] or new.count(MASK) != 1 or not secrets or stored is None:
        raise Rejected("spec.source shows *** in place of credentials that are not stored; write them out")
    if _place(new) != _place(stored):
        raise Rejected("spec.source shows *** with another host than before; write user and password again")
    return _USER_INFO.sub(lambda _: secrets[0], new, count=1)


def _place(source: str) -> tuple[str, str | None, int | None]:
    parts = _split(source)
    return parts.scheme, parts.hostname, parts.port
