"""`longshore-agent`: join a fleet, run on a box, serve as a cloud node, try a release, measure, find what is wrong.

Importing this module must stay cheap (no cv2, av, onnxruntime, torch; a test holds it to that): the main process never
touches pixels, and an edge box has little memory. Errors reach the user as one sentence; exit codes are in `EXIT`.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from agent import providers
from agent.config import from_environment
from protos.errors import Fatal, LongshoreError, Rejected, Retryable

EXIT = {Rejected: 1, Retryable: 3, Fatal: 4}  # 2 is click's, for wrong usage
INTERRUPTED = 130  # Ctrl-C, as shells count it
CALLED_AS = "LONGSHORE_CALLED_AS"  # what stands before the command's name in usage errors [default: as it was started]

_state = click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where this box keeps identity, models and telemetry [default: /var/lib/longshore-agent].",
)


class Number(click.FloatRange):
    """As its parent, and no NaN or infinity: to wait until NaN is to wait for ever."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="longshore", prog_name="longshore-agent")
def cli() -> None:
    """Longshore on the box: pull models, prove them, run them on local cameras."""


@cli.command(epilog="Example: longshore-agent join https://fleet.example:8443 --token LS1.… --label site=harbour")
@click.argument("url")
@click.option("--token", default="", envvar="LONGSHORE_JOIN_TOKEN", help="From 'longshore token create'.")
@click.option("--node-id", default="", help="Name of this box [default: the token's, else the host name].")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="May be given several times.")
@click.option("--role", type=click.Choice(["edge", "cloud"]), help="Refuse a token of another role [default: take it].")
@click.option("--replace", is_flag=True, help="Leave the fleet that this box is in.")
@click.option("--install", is_flag=True, help="And run as a systemd service from now on, also after a restart (root).")
@click.option("--print-unit", is_flag=True, help="Only show the unit that --install would write.")
@click.option("--provider", type=click.Choice(providers.ALL), help="For --install: execution provider.")
@_state
def join(
    url: str,
    token: str,
    node_id: str,
    labels: tuple[str, ...],
    role: str | None,
    state_dir: Path | None,
    provider: str | None,
    *,
    replace: bool,
    install: bool,
    print_unit: bool,
) -> None:
    """Make this box a member of the fleet at URL.

    The control plane's certificate authority is compared with the token before any secret is sent. With --install the
    agent becomes a service of this box; the same again brings it to this agent's version, and spends no token.
    """
    from agent import joining
    from agent.install.service import Installing

    config = from_environment(state_dir=state_dir, provider=provider)
    installing = Installing(config, role or "edge")
    if print_unit:
        click.echo(installing.text(), nl=False)
        return
    if not token:
        raise click.UsageError("Missing option '--token': make one with 'longshore token create'.")
    if install:
        installing.check()  # before a token is spent
    wish = joining.wish(token, node_id, labels_of(labels), role or "", leave_fleet=replace)
    member = (joining.member_of(config, wish) if install else None) or joining.join(config, url, wish)
    done = installing.start(member.role) if install else joining.next_step(config, member)
    click.echo(f"joined {url} as {member.node_id}; {done}")


@cli.command(epilog="Example: sudo longshore-agent uninstall --keep-state")
@click.option("--keep-state", is_flag=True, help="Keep identity, models and telemetry: it may be installed again.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_state
def uninstall(state_dir: Path | None, *, keep_state: bool, yes: bool) -> None:
    """Remove the service that 'join --install' made, its user, and what this box keeps.

    The node stays known to the control plane: 'longshore delete node NAME' there revokes its certificate.
    """
    from agent.install.box import Box
    from agent.install.box import uninstall as remove

    config = from_environment(state_dir=state_dir)
    if not (yes or keep_state):
        click.confirm(f"Remove the service and everything in {config.state_dir}, its identity too?", abort=True)
    gone = remove(Box(), config.state_dir, keep_state=keep_state)
    click.echo(f"removed: {', '.join(gone)}" if gone else "there was nothing to remove")


def _config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--listen", help="Address for inference callers and metrics [default: 127.0.0.1]."),
        click.option("--advertise", help="Host name under which others reach this box."),
        click.option("--http-port", type=int, help="Open Inference Protocol, REST [default: 8000]."),
        click.option("--grpc-port", type=int, help="Open Inference Protocol, gRPC [default: 8001]."),
        click.option("--metrics-port", type=int, help="Prometheus metrics [default: 8002]."),
        click.option("--site-cache-listen", metavar="ADDRESS:PORT", help="Be the site's cache of releases, there."),
        click.option("--site-cache", metavar="URL", help="Ask this cache of the site first: http://10.0.0.5:8003."),
        click.option("--events-broker", metavar="URL", help="On this box, for applications: mqtt://127.0.0.1:1883."),
        click.option("--provider", type=click.Choice(providers.ALL), help="Execution provider."),
        click.option("--threads", type=int, help="Threads per engine [default: one per core]."),
        click.option("--log-level", help="DEBUG, INFO, WARNING or ERROR [default: INFO]."),
        _state,
    ):
        command = option(command)
    return command


def _join_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--join", "join_url", metavar="URL", help="Join this fleet first, unless this box has joined one."
        ),
        click.option("--token-stdin", is_flag=True, help="For --join: read the token from standard input."),
        click.option(
            "--token-file", type=click.Path(path_type=Path), help="For --join: read the token from this file."
        ),
        click.option("--token", envvar="LONGSHORE_JOIN_TOKEN", default="", help="For --join."),
        click.option("--node-id", default="", help="For --join."),
    ):
        command = option(command)
    return command


@cli.command(epilog="Example: longshore-agent run --state-dir /var/lib/longshore-agent")
@_config_options
@_join_options
def run(**options: Any) -> None:
    """Run cameras and models as the control plane wishes; goes on without it."""
    _start("edge", **options)


@cli.command(epilog="Example: longshore-agent serve --listen 0.0.0.0 --advertise cloud-1.example")
@_config_options
@_join_options
def serve(**options: Any) -> None:
    """Serve models to other boxes, as a cloud node without cameras."""
    _start("cloud", **options)


@cli.command(epilog="Example: longshore-agent predict ./release --images ./pictures --output results.jsonl")
@click.argument("release", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--images", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--min-score", type=Number(0.0, 1.0), default=0.0, show_default=True)
def predict(release: Path, images: Path, output: Path, min_score: float) -> None:
    """Run a release over a folder of pictures; one JSON line each."""
    from agent.predict import predict as run_release

    run_release(release, images, output, min_score)


@cli.command("try", epilog="Example: longshore-agent try ./release --source clip.mp4 --output ./tried")
@click.argument("release", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--source", required=True, help="Video, picture, folder of pictures, rtsp://… or synthetic://harbour.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to make.")
@click.option("--seconds", type=Number(0.0, min_open=True), help="Of a film [default: what a minute gives; live: 10].")
@click.option("--min-score", type=Number(0.0, 1.0), default=0.3, show_default=True)
@click.option("--variant", default="", help="Which ONNX file of the release [default: what a box would run].")
@click.option("--threads", type=click.IntRange(0), default=0, help="Of the engine [default: one per core].")
def try_(**options: Any) -> None:
    """Look at a source with a release as a box would, and leave annotated pictures, tables and rates.

    Ctrl-C keeps what was written.
    """
    from agent.trial.run import Wish, run  # a process of its own: here, and only here, main loads pixels

    if not run(Wish(**options), click.echo):
        sys.exit(INTERRUPTED)


@cli.command(epilog="Example: longshore-agent bench ./release --source clip.mp4 --folder ./measured")
@click.argument("release", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--source", default="", help="Video or rtsp://… whose decoding is measured [default: a drawn one].")
@click.option("--seconds", type=Number(1.0), default=30.0, show_default=True, help="Of measuring.")
@click.option("--variant", default="", help="Only this ONNX file of the release [default: each that runs here].")
@click.option("--threads", type=click.IntRange(0), default=0, help="Cores to use [default: all].")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="To make: figures.json, plot.svg.")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", help="[default: table]")
def bench(**options: Any) -> None:
    """Measure what this box can do with a release, what the agent reaches of it, and how many cameras that is.

    Ctrl-C keeps what was measured.
    """
    from agent.bench.run import Wish, run  # a process of its own, as `try` is

    if not run(Wish(**options), click.echo):
        sys.exit(INTERRUPTED)


@cli.command(epilog="Example: longshore-agent plan --cameras 8 --size small=12ms:0.61 --link 4Mbit/s")
@click.argument("release", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--figures", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Of 'bench', run there.")
@click.option(
    "--size",
    "sizes",
    multiple=True,
    metavar="NAME=TIME[:SHARE]",
    help="A frame's time on the box, and how many are right.",
)
@click.option("--cameras", type=click.IntRange(1, 256), required=True)
@click.option("--rate", type=Number(0.1, 60.0), default=10.0, show_default=True, help="Frames a second of a camera.")
@click.option("--busy", type=Number(0.01, 1.0), default=1.0, show_default=True, help="Share of its time that it looks.")
@click.option("--deadline", default="250ms", show_default=True, help="From capture to answer.")
@click.option("--link", default="0bit/s", show_default=True, help="Uplink to a cloud node; 0bit/s: none.")
@click.option("--rtt", default="30ms", show_default=True, help="There and back, of the link.")
@click.option("--unsteady", is_flag=True, help="The link wanders, as radio does.")
@click.option("--budget", default="", help="Of the link, for this [default: all].")
@click.option("--cloud", default="20ms", show_default=True, help="Of the cloud node, for a frame.")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", help="[default: table]")
def plan(**options: Any) -> None:
    """What share of the frames of so many cameras a box would answer in time, from the simulator; nothing is run.

    RELEASE is a release folder, whose evaluation tells how often its answers are right.
    """
    from agent.plan.run import Words, run

    run(Words(**options), click.echo)


@cli.command(epilog="Example: longshore-agent frames ./release --film clip.mp4 --count 128 >frames")
@click.argument("release", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--film", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A video to take them from.")
@click.option("--count", type=click.IntRange(1), default=128, show_default=True, help="Of a film, spread over it.")
@click.option(
    "--jpeg",
    "views",
    multiple=True,
    type=(click.IntRange(1, 100), click.IntRange(1)),
    metavar="QUALITY SIDE",
    help="Each as a cloud node gets it: JPEG of this quality, its longer side at most so many pixels; may be repeated.",
)
def frames(release: Path, film: Path | None, count: int, views: tuple[tuple[int, int], ...]) -> None:
    """Write pictures to standard output, fitted for a release as a box does it.

    Without --film, names of picture files are read from standard input, one a line.
    """
    from agent.trial.frames import write
    from agent.types import View

    sent = [View(side, quality) for quality, side in views]
    names = [] if film else sys.stdin.read().splitlines()
    try:
        for sentence in write(release, film, names, count, sys.stdout.buffer, sent):
            click.echo(f"left out: {sentence}", err=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who reads has enough


@cli.command(
    "replay-decisions", epilog="Example: sudo longshore-agent replay-decisions /var/lib/longshore-agent/decisions"
)
@click.argument("log", type=click.Path(path_type=Path, exists=True))
@click.option("--deployment", default="", help="Of this one only.")
@click.option("--price", "prices", type=Number(0.0), multiple=True, help="Times the price to try [default: 0, 0.5, 2].")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="[default: table]")
def replay_decisions(log: Path, deployment: str, prices: tuple[float, ...], output: str) -> None:
    """Say what a log of decisions holds, and what other policies would have earned by it.

    LOG is a file of the log, or the folder. Now and then two ways are nearly as good, and chance decides: by these
    frames a log tells what the other way would have been worth, how sure that is, and of how many choices it tells.
    """
    from agent.offload.replay import FACTORS
    from agent.replaying import replayed

    click.echo(replayed(log, deployment, prices or FACTORS, as_json=output == "json"))


@cli.command(epilog="Example: longshore-agent doctor --camera rtsp://user:password@192.168.1.20/stream")
@_config_options
@click.option("--camera", "cameras", multiple=True, metavar="URL", help="Try this camera, too; may be repeated.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="[default: table]")
def doctor(output: str, cameras: tuple[str, ...], **options: Any) -> None:
    """Look for what keeps this box from working as 'run' with these options would, and say how to mend it.

    Looks at ports, disk, codecs, accelerators, the ONNX Runtime that is installed, the certificate, the control plane
    and its clock, the broker, and one picture of each camera. Changes nothing. Exit code 1: something is broken.
    """
    from agent.doctor import as_json, examine, report

    findings = examine(from_environment(**options), cameras)
    click.echo(as_json(findings) if output == "json" else report(findings))
    if any(finding.broken for finding in findings):
        sys.exit(1)


@cli.command("import", epilog="Example: sudo longshore-agent import /media/stick/fleet")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR")
@click.option("--wait", type=Number(0.0), default=300.0, show_default=True, help="Seconds, for the agent.")
@_state
def import_(folder: Path, wait: float, state_dir: Path | None) -> None:
    """Take what 'longshore export' wrote to DIR: for a box that no network reaches.

    All of it is proven before anything is copied, as from a network. The running agent installs it; then its report is
    written to DIR, to be carried back. A stick that was pulled out: plug it in, and run the same once more.
    """
    from agent.carried.waiting import bring

    bring(from_environment(state_dir=state_dir), folder, wait, click.echo)


@cli.command("report", epilog="Example: sudo longshore-agent report -o /media/stick/quay-1.report")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@_state
def report_(output: Path, state_dir: Path | None) -> None:
    """Write what this box would tell its control plane, signed by it, for 'longshore import-report'."""
    from agent.carried.waiting import write_report

    click.echo(write_report(from_environment(state_dir=state_dir), output))


@cli.command("support-bundle", epilog="Example: sudo longshore-agent support-bundle -o box.tar.gz")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="[default: agent-TIME.tar.gz]")
@_config_options
def support_bundle(output: Path | None, **options: Any) -> None:
    """Pack all that helps to find out what is wrong with this box, without a secret in it.

    Findings of 'doctor', configuration, what the box was told, what lies in its state folder, versions, its journal.
    Keys are not read. What looks like a secret is replaced by ***; look at it before you hand it on.
    """
    from datetime import UTC, datetime

    from agent.bundle import gather
    from protos.bundle import write

    target = output or Path(f"agent-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    click.echo("looking at this box …", err=True)
    count = write(target, gather(from_environment(**options)))
    click.echo(f"{target}: {count} files; what looks like a secret was replaced by ***")


def labels_of(pairs: tuple[str, ...]) -> dict[str, str]:
    """Raises Rejected for a label that is not KEY=VALUE."""
    labels = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise Rejected(f"label {pair!r} must be KEY=VALUE, such as site=harbour")
        labels[key] = value
    return labels


def _start(role: str, *, join_url: str | None, node_id: str, **options: Any) -> None:
    from agent.joining import join_once
    from agent.running import run_node

    token = _token(options.pop("token_stdin"), options.pop("token_file"), options.pop("token"))
    config = from_environment(role=role, **options)
    if join_url:
        # Everything is imported by now: `longshore up` starts us early and hands over the token when it has one.
        join_once(config, join_url, token, node_id)
    run_node(config)


def _token(stdin: bool, file: Path | None, given: str) -> Callable[[], str]:  # noqa: FBT001 - one caller
    """Where a join token comes from, should this box need one: a box that has joined reads none."""
    if stdin:
        return sys.stdin.readline
    return (lambda: _first_line(file)) if file else (lambda: given)


def _first_line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip().partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise Rejected(f"cannot read the join token in {file} ({why}); 'longshore token create' makes one") from error


def main() -> None:
    """Entry point: errors of ours become one sentence and an exit code."""
    # Workers are spawned, not forked: grpc need not prepare for forks, nor warn at each.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    try:
        cli(prog_name=os.environ.get(CALLED_AS), standalone_mode=True)
    except LongshoreError as error:
        click.echo(f"error: {error}", err=True)
        code = next((code for kind, code in EXIT.items() if isinstance(error, kind)), 1)
        sys.exit(code)


if __name__ == "__main__":
    main()
