"""Waiting for a control plane that is away: the commands that go on until Ctrl-C outlive its restart."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat
from typing import TypeVar

import click

from protos.errors import Retryable

T = TypeVar("T")
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)  # seconds; the last one again and again


def awaited(ask: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """The answer, when it comes. Why it is waited for is said once, and so is the end of that."""
    said = False
    for pause in chain(PAUSES, repeat(PAUSES[-1])):
        try:
            answer = ask()
        except Retryable as error:
            if not said:
                click.echo(f"waiting: {error}", err=True)
            said = True
            sleep(pause)
        else:
            break
    if said:
        click.echo("the control plane answers again", err=True)
    return answer
