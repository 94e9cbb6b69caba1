"""Online keys that lie in a token, in Vault or in a key service: `<trust>/*.uri`, one key URI in each file.

A change of a Deployment is signed in its own transaction, so a signature is made within a bound of time; a service that
hangs or refuses counts as away for a while, and the loop signs once it is back. A token that refused is asked no more
until the next start, since it counts wrong PINs.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from controlplane.signing import held
from controlplane.signing.keys import Key, Signer, told_by
from protos.errors import LongshoreError, Rejected, Retryable

BOUND_SECONDS = 3.0
AWAY_SECONDS = 60.0  # as often as the loop looks
log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class _Known:
    signer: Signer | None = None
    away_until: float = 0.0  # of `now`


class KeysElsewhere:
    """`now`: seconds, never set back."""

    def __init__(
        self, folder: Path, pin: str, now: Callable[[], float] = time.monotonic, bound: float = BOUND_SECONDS
    ) -> None:
        self._folder, self._pin, self._now, self._bound = folder, pin, now, bound
        self._known: dict[str, _Known] = {}
        self._turn = threading.Lock()

    def signers(self) -> dict[str, Signer]:
        """By id of key; those that are away are left out."""
        with self._turn:
            names = [name for path in sorted(self._folder.glob("*.uri")) if (name := _told(path))]
            found = [_Bounded(self, name, signer) for name in names if (signer := self._signer(name)) is not None]
        return {each.public_key.keyid: each for each in found}

    def _signer(self, name: str) -> Signer | None:
        known = self._known.setdefault(name, _Known())
        if self._now() < known.away_until:
            return None
        if known.signer is None:
            try:
                known.signer = within(self._bound, lambda: self._opened(name))
            except LongshoreError as error:
                self.missed(name, error)
        return known.signer

    def _opened(self, name: str) -> Signer:
        return held.opened(name, [held.public(name, self._ask)], self._ask)

    def _ask(self, what: str) -> str:
        if not self._pin:
            raise Rejected(f"the key wants its {what}; give it to the control plane in LONGSHORE_KEY_PIN")
        return self._pin

    def missed(self, name: str, error: Exception) -> None:
        """It did not answer, or refused."""
        log.error("an online key is away, and what it signs waits: %s", error)
        lasting = math.inf if name.startswith("hsm:") and isinstance(error, Rejected) else AWAY_SECONDS
        self._known[name].away_until = self._now() + lasting

    def sign(self, name: str, signer: Signer, payload: bytes) -> held.Signature:
        """Raises Retryable."""
        try:
            return within(self._bound, lambda: signer.sign(payload))
        except LongshoreError as error:
            self.missed(name, error)
            raise


def _told(path: Path) -> str:
    """The URI in a file; "" where it cannot be read, which must not keep other keys from signing."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        log.error("%s tells no key (%s); write one key URI into it, readable by the control plane", path, error)
        return ""


class _Bounded(Signer):
    """Another, within the bound."""

    def __init__(self, keys: KeysElsewhere, name: str, inner: Signer) -> None:
        self._keys, self._name, self._inner = keys, name, inner

    @property
    def public_key(self) -> Key:
        return self._inner.public_key

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Key, secrets_handler: held.Ask | None = None) -> Signer:
        return Signer.from_priv_key_uri(priv_key_uri, public_key, secrets_handler)

    def sign(self, payload: bytes) -> held.Signature:
        return self._keys.sign(self._name, self._inner, payload)


def within(seconds: float, call: Callable[[], T]) -> T:
    """What it returns. Raises Retryable: it took longer, or failed in a way of its own; LongshoreError: its own."""
    answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((call(), None))
        except Exception as error:  # noqa: BLE001 - every kind of signer raises its own
            answers.put((None, error))

    threading.Thread(target=run, name="key", daemon=True).start()
    try:
        value, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise Retryable(f"it did not answer within {seconds:g} s") from None
    if isinstance(error, LongshoreError):
        raise error
    if error is not None:
        raise Retryable(told_by(error)) from error
    assert value is not None
    return value
