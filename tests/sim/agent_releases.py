"""Small releases of the agent: a wheel of a few lines that pip installs for real, and the lock that names it."""

from __future__ import annotations

import base64
import hashlib
import io
import sysconfig
import zipfile
from pathlib import Path

from protos import manifest
from protos.ids import Version, digest_of
from protos.manifest import AGENT, AGENT_LOCK, AGENT_MODEL, FileEntry, Manifest
from tests.sim.releases import MadeRelease

GOOD = ""
FALLS = "raise SystemExit(1)"  # on import
THIS_AGENT = (str(Path(__file__).parents[2]), sysconfig.get_paths()["purelib"])  # `paths` of the agent under test


def make(
    version: str,
    *,
    body: str = GOOD,
    says: str = "",
    wheel: bytes | None = None,
    tag: str = "py3-none-any",
    paths: tuple[str, ...] = (),
) -> MadeRelease:
    """`body`: of agent/main.py. `says`: what its agent/version.py holds. `wheel`: other bytes than the lock names.

    `paths`: where a real agent and its packages lie, that this one then is.
    """
    own = version.partition("-")[0]
    name = f"longshore-{own}-{tag}.whl"
    made = _wheel(own, body, says or own, tag, paths)
    lock = f"longshore=={own} --hash=sha256:{hashlib.sha256(made).hexdigest()}\n".encode()
    files = {AGENT_LOCK: ("lock", lock), name: ("wheel", wheel or made)}
    entries = tuple(FileEntry(path, digest_of(body), len(body), role) for path, (role, body) in files.items())
    written = manifest.to_bytes(Manifest(AGENT_MODEL, Version(version), AGENT, None, (), (), entries))
    blobs = {digest_of(body): body for _, body in files.values()}
    digest = manifest.release_digest(written)
    return MadeRelease(digest, written, wheel or made, {**blobs, digest: written})


def _wheel(version: str, body: str, says: str, tag: str, paths: tuple[str, ...]) -> bytes:
    info = f"longshore-{version}.dist-info"
    agent = {"agent/__init__.py": "", "agent/version.py": f'VERSION = "{says}"\n', "agent/main.py": f"{body}\n"}
    contents = {
        **({"longshore.pth": "".join(f"{path}\n" for path in paths)} if paths else agent),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: longshore\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = [f"{path},sha256={_hash(text)},{len(text)}" for path, text in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join((*record, f"{info}/RECORD,,", ""))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as wheel:
        for path, text in contents.items():
            wheel.writestr(zipfile.ZipInfo(path), text)
    return written.getvalue()


def _hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
