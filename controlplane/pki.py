"""`python -m controlplane.main pki`: authority, broker's key pair and signed metadata as files, before anything runs.

For installations whose parts get their keys handed in, as on Kubernetes. Authority and metadata are made once and never
replaced: run again with the same folder, only the broker's pair is new. Keys are readable by their owner only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from controlplane.adapters.authority_files import load_or_create, write_pair
from controlplane.adapters.trust_files import write_first
from controlplane.config import LOOPBACK_NAMES

BROKER_DAYS = 730.0  # run again before that; boxes learn nothing new, since their CA stays

NEXT = """\
Three Secrets are made of these files:
  kubectl -n longshore create secret generic longshore-authority --from-file={folder}/ca.pem --from-file={folder}/ca.key
  kubectl -n longshore create secret generic longshore-broker-tls \\
    --from-file={folder}/ca.pem --from-file={folder}/broker.pem --from-file={folder}/broker.key
  kubectl -n longshore create secret generic longshore-trust --from-file={folder}/trust
Carry {folder}/keys/offline away, and keep {folder}/keys/release.key where releases are pushed from: no cluster needs
either ({folder}/keys/README.txt).
Whoever has ca.key can name any box: keep {folder} where backups of keys are kept, and nowhere else."""


def write(folder: Path, broker_hosts: Sequence[str], unix: float) -> str:
    """Write ca.pem, ca.key, broker.pem, broker.key, `trust` and `keys` into `folder`; what to do with them.

    `broker_hosts`: names under which the broker is dialled. Raises Fatal: half of an authority lies there.
    """
    authority = load_or_create(folder, unix)
    names = tuple(dict.fromkeys((*LOOPBACK_NAMES, *broker_hosts)))
    write_pair(folder, "broker", authority.issue_server(names, unix, BROKER_DAYS))
    write_first(folder / "trust", folder / "keys", int(unix))
    return NEXT.format(folder=folder)
