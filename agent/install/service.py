"""`join --install`: looked at first, done after joining; what it says to the installer."""

from __future__ import annotations

from agent.config import AgentConfig
from agent.install import unit
from agent.install.box import Box, install, service
from agent.install.unit import NAME

_VERBS = {"edge": "run", "cloud": "serve"}  # by role


class Installing:
    def __init__(self, config: AgentConfig, role: str, box: Box | None = None) -> None:
        self._config = config
        self._role = role
        self._box = box or Box()

    def text(self) -> str:
        """The unit, as it would be written. Raises Rejected."""
        return unit.text(service(self._config, _VERBS.get(self._role, "run")))

    def check(self) -> None:
        """Raises Rejected where nothing can be installed."""
        self._box.check()
        self._box.check_alone(self._config.state_dir)
        self.text()

    def start(self, role: str) -> str:
        """Install for the role that the token gave; a sentence's end. Raises Rejected, Fatal."""
        changed = install(self._box, service(self._config, _VERBS.get(role, "run")))
        word = "installed" if changed else "up to date"
        return f"the service {NAME} is {word} and runs; see 'systemctl status {NAME}', 'journalctl -u {NAME}'"
