"""`longshore completion`: the script that makes a shell complete commands, kinds and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

EXAMPLES = """Print the completion script of a shell. Names of objects are asked of the control plane as you type.

\b
Examples:
  source <(longshore completion bash)                               in ~/.bashrc
  source <(longshore completion zsh)                                in ~/.zshrc
  longshore completion fish > ~/.config/fish/completions/longshore.fish
"""


@click.command("completion", help=EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    made = get_completion_class(shell)
    assert made is not None, "one of the three above"
    click.echo(made(ctx.find_root().command, {}, "longshore", "_LONGSHORE_COMPLETE").source())
