"""What is carried between a control plane and a box without a network: names of files, and what exactly is signed.

    README.txt
    SHA256SUMS                    written last: without it, writing was not finished
    metadata/timestamp.json, metadata/N.ROLE.json      as TUF clients ask for them; every root from the first on
    blobs/sha256/HEX              files of releases
    boxes/NODE.state              Carried with CarriedState: what Sync would have answered, signed by the fleet's CA
    reports/NODE.report           Carried with CarriedReport: what Sync would have been told, signed by the box

Metadata and files prove themselves, as over a network. The other two are signed over `spoken`, so that no signature of
one can stand for the other, nor for a certificate.
"""

from __future__ import annotations

import re

README, SUMS = "README.txt", "SHA256SUMS"
METADATA, BLOBS, BOXES, REPORTS = "metadata", "blobs/sha256", "boxes", "reports"
TIMESTAMP = "timestamp.json"
STATE, REPORT = ".state", ".report"  # ends of names, and kinds of what is signed
MOST_BYTES = 4 << 20  # of a Carried
DOCUMENT = re.compile(r"[1-9][0-9]{0,15}\.[a-z0-9-]{1,80}\.json")  # of metadata, but timestamp.json
BLOB = re.compile(r"[0-9a-f]{64}")


def spoken(kind: str, content: bytes) -> bytes:
    """What is signed. `kind`: STATE or REPORT."""
    return b"longshore carried" + kind.encode() + b"\0" + content
