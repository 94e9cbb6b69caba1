"""The file of a support bundle, as box and command write it: documents in a tar.gz, each through the same redaction."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from protos.errors import Rejected
from protos.secrets import redacted


def write(target: Path, files: Iterable[tuple[str, Any]]) -> int:
    """`files` are names and documents, not redacted yet; how many there were. Only its owner may read `target`.

    Raises:
        Rejected: it is there already or cannot be written. Whatever goes wrong, no half of it stays.
    """
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Rejected(f"{target} is there already; choose another name with -o") from error
    except OSError as error:
        raise Rejected(f"cannot write {target} ({error.strerror}); choose another place with -o") from error
    try:
        with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            return _pack(archive, target.name.removesuffix(".gz").removesuffix(".tar"), files)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _pack(archive: tarfile.TarFile, folder: str, files: Iterable[tuple[str, Any]]) -> int:
    count = 0
    for name, document in files:
        content = json.dumps(redacted(document), indent=2, ensure_ascii=False, default=str).encode()
        about = tarfile.TarInfo(f"{folder}/{name}")
        about.size, about.mode, about.mtime = len(content), 0o600, int(time.time())
        archive.addfile(about, io.BytesIO(content))
        count += 1
    return count
