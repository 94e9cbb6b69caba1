"""Entry point of `longshore`: the table of commands, and the one place where errors become sentences and exit codes.

Imports here cost every call of the command, so there are click and nothing else.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import Any

import click

from controlplane.cli.exits import Exit, code_of
from protos.errors import LongshoreError

# section -> command -> (module below commands, what `longshore --help` says); a new user meets them in this order
SECTIONS = {
    "Start here": {
        "up": ("up", "Run a whole fleet on this machine: --demo brings boxes and cameras."),
        "login": ("login", "Remember a control plane and a token for it."),
        "logout": ("logout", "Forget a control plane and its token."),
        "whoami": ("whoami", "Who the control plane takes you for, and your role."),
        "context": ("context", "Which control planes are remembered, and which is in use."),
        "open": ("open_page", "Print (and open) a one-time sign-in link for the page."),
        "doctor": ("doctor", "Find what is wrong with contexts, fleet and this machine, and how to mend it."),
        "completion": ("completion", "Make your shell complete commands, kinds and names."),
        "version": ("version", "Versions of this command and of the control plane."),
    },
    "See what is": {
        "get": ("get", "List objects, or show one."),
        "describe": ("describe", "Show an object with its conditions and why it has not converged."),
        "explain": ("explain", "What a kind and its fields mean."),
        "top": ("top", "Live rates, latency and outcomes of the fleet."),
        "logs": ("logs", "Newest log lines of a box, or of a Run."),
        "snapshot": ("snapshot", "Save what a camera sees now, or a region of it."),
        "download": ("download", "Save stored telemetry as CSV or Parquet."),
        "verify": ("verify", "Prove that no telemetry was lost: recount what is stored."),
    },
    "Change what should be": {
        "apply": ("apply", "Create or update objects from YAML or JSON."),
        "edit": ("edit", "Change an object in your editor."),
        "delete": ("delete", "Delete objects."),
        "node": ("node", "Pause, resume, label or slow down a box."),
    },
    "Models": {
        "package": ("package", "Make a release directory from an ONNX file."),
        "try": ("try_release", "Show what a release sees on a video, pictures or a camera, here."),
        "bench": ("bench", "Measure how many cameras this machine has room for with a release."),
        "plan": ("plan", "What share of frames a box would answer in time, before it is bought."),
        "push": ("push", "Push a release directory or tar to the registry, and sign it."),
        "sign": ("sign", "Sign releases that are in the registry: boxes run only what is signed."),
        "withdraw": ("withdraw", "List releases no more: no box installs them from then on."),
        "diff": ("diff", "What changed between two releases."),
        "train": ("train", "Train a model with a recipe, on the control plane's machine."),
        "cancel": ("cancel", "End a Run before its time."),
    },
    "Boxes and people": {
        "agent": ("agent", "Releases of the agent itself, to which boxes update themselves."),
        "token": ("token", "Create, list and delete join tokens."),
        "invite": ("invite", "A sign-in link for somebody, with a role."),
        "apitoken": ("apitoken", "Create, list and delete API tokens."),
        "audit": ("audit", "Who changed what."),
        "export": ("export", "Write what boxes without a network need to a stick."),
        "import-report": ("import_report", "Take reports that boxes without a network wrote."),
        "keys": ("keys", "Who may sign what boxes run, and other keys in their place."),
    },
    "Day two": {
        "backup": ("backup", "Back up a control plane into one file, while it serves."),
        "restore": ("restore", "Restore a control plane from a backup."),
        "support-bundle": (
            "support_bundle",
            "All that helps to find what is wrong with a box, without a secret in it.",
        ),
    },
}
COMMANDS = {name: told for section in SECTIONS.values() for name, told in section.items()}

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

HELP = """Longshore puts AI models on edge boxes and keeps them good.

\b
  longshore up --demo                       a fleet to try, on this machine
  longshore token create quay-1             then, on the box: longshore-agent join …
  longshore push models/harbour/release     a model into the registry
  longshore apply -f deployment.yaml        what should run where
  longshore train harbour --set epochs=2    a model, from a recipe
  longshore get nodes -l site=harbour       what is

Objects are Node, Camera, Deployment, Model, Release, Recipe, Run, Person and Settings ('longshore explain KIND').
Every command has --help with examples; 'longshore completion' makes your shell complete all this.
"""


class LazyGroup(click.Group):
    """A group whose commands are imported when they run, and whose help needs none of them."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"controlplane.cli.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, COMMANDS))
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), text) for name, (_, text) in section.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message}{_nearest(args[0])}", ctx) from None


def _nearest(word: str) -> str:
    import difflib

    from controlplane.cli import habits

    if meant := habits.command(word):
        return f" Instead: {meant}."
    close = difflib.get_close_matches(word, COMMANDS, n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


def _contexts(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    from controlplane.cli import completing

    return completing.context(ctx, parameter, begun)


@click.group(
    cls=LazyGroup, help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--context", "context_name", metavar="NAME", shell_complete=_contexts, help="Which remembered control plane to use."
)
@click.option("--url", metavar="URL", help="Control plane to use (or LONGSHORE_URL).")
@click.option("--token", metavar="TOKEN", help="API token (or LONGSHORE_TOKEN, which other users cannot read).")
@click.option("--ca", metavar="FILE", help="CA certificate the control plane must show (or LONGSHORE_CA).")
@click.version_option(package_name="longshore", message="%(prog)s %(version)s", help="Version of this command.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    ctx.obj = options


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the return value is the exit code."""
    try:
        ended = command.main(arguments, prog_name="longshore", standalone_mode=False)
    except LongshoreError as error:
        return _fail(str(error), code_of(error))
    except click.NoSuchOption as error:
        from controlplane.cli import habits

        hint = habits.option(error.option_name, error.ctx.command_path if error.ctx else "")
        click.UsageError(f"{error.format_message()} {hint}".rstrip(), error.ctx).show()
        return Exit.USAGE
    except click.UsageError as error:
        error.show()
        return Exit.USAGE
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except OSError as error:
        if error.errno not in _NO_ROOM:
            return _bug(error)
        return _fail(f"cannot write ({error.strerror}); see that there is room where this goes", Exit.REJECTED)
    except SystemExit:
        return Exit.OK  # click's way to say that nobody reads on: `longshore get … | head`
    except Exception as error:  # noqa: BLE001 - the root: a user never sees a traceback
        return _bug(error)
    return ended if isinstance(ended, int) else Exit.OK  # of a command that ended by Context.exit


def _fail(message: str, code: int) -> int:
    label = click.style("error:", fg="red", bold=True) if sys.stderr.isatty() else "error:"
    click.echo(f"{label} {message}", err=True)
    return code


def _bug(error: Exception) -> int:
    if os.environ.get("LONGSHORE_DEBUG"):
        raise error
    what = f"{type(error).__name__}: {error}"
    return _fail(f"this is a bug in longshore ({what}); run again with LONGSHORE_DEBUG=1 and report it", Exit.REJECTED)


def run() -> None:
    code = main()
    try:
        sys.stdout.flush()
    except OSError:  # told already; the interpreter would try once more at its end, and change the exit code
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    run()
