"""Let the environment that runs this see the checkout: a .pth file, a name and version, the two commands.

What `pip install --editable` would do, without a build step, so that it works offline and takes no time.
"""

from __future__ import annotations

import shutil
import site
import sys
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
COMMANDS = {"longshore": "controlplane.cli.main", "longshore-agent": "agent.main"}

# Shell and Python at once: a #! line could neither be long nor hold a space, and -P keeps bin/ out of sys.path.
SCRIPT = """\
#!/bin/sh
'''exec' "{python}" -P "$0" "$@"
' '''
import sys
from {module} import main
if __name__ == "__main__":
    sys.exit(main())
"""


def main() -> None:
    """Write them all."""
    packages = Path(site.getsitepackages()[0])
    (packages / "longshore.pth").write_text(f"{CHECKOUT}\n")
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    for earlier in packages.glob("longshore-*.dist-info"):  # of another version: it would be the one that is found
        shutil.rmtree(earlier)
    known = packages / f"longshore-{project['version']}.dist-info"  # so that importlib.metadata knows the version
    known.mkdir(exist_ok=True)
    (known / "METADATA").write_text(f"Metadata-Version: 2.1\nName: longshore\nVersion: {project['version']}\n")
    for command, module in COMMANDS.items():
        script = Path(sys.prefix) / "bin" / command
        script.write_text(SCRIPT.format(python=sys.executable, module=module))
        script.chmod(0o755)


if __name__ == "__main__":
    main()
