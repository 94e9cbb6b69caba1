"""A machine of its own for a Python program: QEMU without KVM, a Debian cloud kernel, all else in an initial RAM disk.

The program is process 1. It finds its disk (ext4) mounted at /disk and says what it has to say on the serial console, a
line at a time. Killing QEMU cuts its power: what the guest's kernel had not written to its disk is gone.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

QEMU = "qemu-system-x86_64"
MISSING = (
    "power cuts of a guest need QEMU, mke2fs and a Debian cloud kernel: `make nightly` installs the first as root "
    "(apt-get install --no-install-recommends qemu-system-x86) and fetches the last into build/guest"
)
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk")
DISK_BYTES = 48 << 20
MEMORY_MB = 512
ROOT = Path(__file__).parents[2]
STDLIB = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"  # where an interpreter looks for it
KERNELS = ROOT / "build" / "guest" / "kernel"

# Process 1: load what the disk's driver needs, mount, and become the program.
_INIT = """\
import ctypes, os, runpy, sys
libc = ctypes.CDLL(None, use_errno=True)
def done(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), what)
def mount(source, target, kind):
    done(libc.mount(source.encode(), target.encode(), kind.encode(), 0, None), target)
mount("dev", "/dev", "devtmpfs")
mount("proc", "/proc", "proc")
for name in sorted(os.listdir("/modules")):
    module = os.open("/modules/" + name, os.O_RDONLY)
    done(libc.syscall(313, module, b"", 0), name)
console = os.open("/dev/ttyS0", os.O_RDWR)
for number in range(3):
    os.dup2(console, number)
while not os.path.exists("/dev/vda"):
    pass
mount("/dev/vda", "/disk", "ext4")
sys.argv[:] = [PROGRAM, "/disk", *sys.argv[1:]]
os.chdir("/")
try:
    runpy.run_module(PROGRAM, run_name="__main__", alter_sys=True)
except BaseException as error:
    print("the program ended:", repr(error), flush=True)
os.sync()
libc.reboot(0x4321FEDC)
"""


def kernel() -> Path | None:
    """Where a cloud kernel was unpacked, or is installed: the folder that has boot and lib."""
    for place in (KERNELS, Path("/")):
        if list(place.glob("boot/vmlinuz-*-cloud-*")):
            return place
    return None


def possible() -> bool:
    return shutil.which(QEMU) is not None and bool(_mke2fs()) and kernel() is not None


def _mke2fs() -> str:
    """Debian keeps it out of the PATH of those who are not root."""
    return shutil.which("mke2fs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""


@dataclass
class Machine:
    """What all boots share. `folder`: where the RAM disk and the disk are kept."""

    folder: Path
    program: str  # a module

    def prepare(self) -> None:
        """Make the RAM disk, and an empty disk. Raises subprocess.CalledProcessError."""
        place = kernel()
        assert place is not None
        files = {**_closure(self.program), **_modules(place), "init.py": self._init()}
        with gzip.open(self.folder / "initrd", "wb", compresslevel=1) as out:
            for block in _cpio(files):
                out.write(block)
        (self._vmlinuz,) = sorted(place.glob("boot/vmlinuz-*-cloud-*"))[-1:]
        with (self.folder / "disk").open("wb") as disk:
            disk.truncate(DISK_BYTES)
        subprocess.run([_mke2fs(), "-q", "-F", "-t", "ext4", self.folder / "disk"], check=True)

    def boot(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Its standard output is the console. Whoever kills it cuts the power."""
        words = ["console=ttyS0", "quiet", "loglevel=0", "panic=-1", "rdinit=/python", "PYTHONHOME=/"]
        words += ["--", "-S", "/init.py", *arguments]
        command = [
            QEMU,
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-m",
            str(MEMORY_MB),
            "-nographic",
            "-no-reboot",
            "-nodefaults",
        ]
        command += ["-serial", "stdio", "-kernel", str(self._vmlinuz), "-initrd", str(self.folder / "initrd")]
        command += ["-append", " ".join(words), "-drive", f"file={self.folder / 'disk'},if=virtio,format=raw"]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def _init(self) -> bytes:
        path = ["/code", "/packages", f"/{STDLIB}", f"/{STDLIB}/lib-dynload"]
        return f"PROGRAM = {self.program!r}\nimport sys\nsys.path[:] = {path!r}\n{_INIT}".encode()


# ---- what the program needs ----

_FOUND = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
import encodings.idna, encodings.ascii, encodings.latin_1, runpy, pkgutil
print(json.dumps({name: getattr(each, "__file__", None) for name, each in list(sys.modules.items())}))
"""


def _closure(program: str) -> dict[str, Path | bytes]:
    """Every file that Python opens to import it: name in the RAM disk -> where it is here."""
    found = subprocess.run(
        [sys.executable, "-c", _FOUND, program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = {name: path for name, path in json.loads(found.stdout).items() if path}
    sources = {Path(path) for path in modules.values() if Path(path).suffix in (".py", ".so")}
    files: dict[str, Path | bytes] = {_name(path): path for path in sources}
    interpreter = Path(sys.executable).resolve()
    files["python"] = interpreter
    for binary in [interpreter, *(path for path in sources if path.suffix == ".so")]:
        files.update(_libraries(binary))
    return files


def _name(path: Path) -> str:
    """Where a module's file lies in the guest."""
    packages, stdlib = Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("stdlib"))
    for name, place in (("packages", packages), ("code", ROOT), (STDLIB, stdlib)):
        if path.is_relative_to(place):
            return f"{name}/{path.relative_to(place)}"
    return f"packages/{_below_site_packages(path)}"


def _below_site_packages(path: Path) -> Path:
    """An environment that is a link has its files elsewhere."""
    parts = path.parts
    return Path(*parts[parts.index("site-packages") + 1 :])


def _libraries(binary: Path) -> Iterator[tuple[str, Path]]:
    said = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    for path in re.findall(r"(/\S+) \(0x", said):
        yield path.lstrip("/"), Path(path).resolve()


def _modules(place: Path) -> dict[str, Path]:
    """Numbered, because one needs another."""
    found = {}
    for number, name in enumerate(MODULES):
        for path in place.glob(f"lib/modules/*-cloud-*/kernel/**/{name}.ko"):
            found[f"modules/{number}-{name}.ko"] = path
    return found


# ---- the archive the kernel unpacks ----


def _cpio(files: dict[str, Path | bytes]) -> Iterator[bytes]:
    """In the form "newc"."""
    folders = {str(parent) for name in files for parent in Path(name).parents if str(parent) != "."}
    for folder in sorted(folders | {"dev", "proc", "disk", "tmp"}):
        yield _member(folder, stat.S_IFDIR | 0o755, b"")
    for name, content in files.items():
        yield _member(name, stat.S_IFREG | 0o755, content if isinstance(content, bytes) else content.read_bytes())
    yield _member("TRAILER!!!", 0, b"")


def _member(name: str, mode: int, content: bytes) -> bytes:
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(content)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)


def lines(machine: subprocess.Popen[bytes]) -> Iterator[str]:
    """What the guest said, whole lines only: the one that the cut went through counts for nothing."""
    assert machine.stdout is not None
    for line in machine.stdout:
        if line.endswith(b"\n"):
            yield line.decode(errors="replace").rstrip("\r\n")
