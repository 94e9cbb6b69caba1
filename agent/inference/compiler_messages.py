"""What the agent and a compiler's process say to each other: one question, one answer."""

from __future__ import annotations

import msgspec


class Compile(msgspec.Struct, tag="compile"):
    """The graph's bytes lie in the one descriptor beside this message; `options` are the provider's."""

    provider: str
    options: dict[str, str]


class Compiled(msgspec.Struct, tag="compiled"):
    """What was made lies in the one descriptor beside this message."""

    nbytes: int


class Refused(msgspec.Struct, tag="refused"):
    """It was not made; why. `lasting`: nor will it be the next time."""

    message: str
    lasting: bool


FromCompiler = Compiled | Refused
