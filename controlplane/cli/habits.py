"""Words that kubectl, docker and the shell taught people, and what says the same here. Pure.

Nothing is done under a borrowed word: it would promise the rest of that tool. The next command is named instead.
"""

from __future__ import annotations

_APPLY = "'longshore apply -f FILE' creates and updates objects; 'longshore explain KIND' says what a file holds"
_VERSION = (
    "set the version you want with 'longshore edit deployment NAME' (the one before, to go back); 'longshore get"
    " deployments --watch' shows how far the boxes are"
)
_EVERYWHERE = "a Deployment runs on every box that its nodeSelector chooses: 'longshore edit deployment NAME'"
_NO_NAMESPACES = "There are no namespaces; labels choose: -l site=harbour."


def _of(told: dict[str, str]) -> dict[str, str]:
    """Each word of the keys, with what it is answered with."""
    return {word: text for words, text in told.items() for word in words.split()}


_COMMANDS = _of(
    {
        "create": f"{_APPLY}; 'longshore token create' lets a box in",
        "replace new add": _APPLY,
        "patch set annotate update": "'longshore edit KIND NAME', or 'longshore apply -f FILE'",
        "rollout upgrade rollback undo deploy": _VERSION,
        "scale autoscale expose": _EVERYWHERE,
        "exec attach cp port-forward ssh debug": "nothing leads into a box; 'longshore logs NODE' tells about it",
        "drain cordon uncordon taint": "'longshore node pause NAME', and later 'longshore node resume NAME'",
        "start serve demo": "'longshore up --demo'",
        "stop down": "Ctrl-C ends 'longshore up'; started again, it goes on where it was",
        "config contexts use-context": "'longshore context list', 'longshore context use NAME'",
        "api-resources api-versions": "'longshore explain' lists the kinds",
        "cluster-info status info health": "'longshore doctor', or 'longshore get all'",
        "ls list ps": "'longshore get KIND', such as 'longshore get nodes'",
        "show inspect": "'longshore describe KIND NAME'; of a model file: 'longshore package FILE --inspect'",
        "rm remove": "'longshore delete KIND NAME'",
        "watch wait": "'longshore get KIND --watch'",
        "label": "'longshore node label NAME key=value'; of other kinds: 'longshore edit KIND NAME'",
        "upload import publish": "'longshore push DIR'",
        "pull": "boxes fetch releases by themselves; 'longshore get releases' lists them",
        "join enroll register": "'longshore token create' here, then 'longshore-agent join' on the box",
        "auth can-i me": "'longshore whoami'",
        "user users people": "'longshore invite NAME', 'longshore get people'",
        "predict infer detect": "'longshore try RELEASE --source video.mp4'",
        "convert build quantize": "'longshore package FILE'",
        "detections events": "'longshore get detections'",
    }
)
_KINDS = _of(
    {
        "pod pods po": "boxes run releases, not pods: 'longshore get nodes', 'longshore top'",
        "namespace namespaces ns": "there are no namespaces; labels choose: 'longshore get nodes -l site=harbour'",
        "event events ev": "what cameras saw: 'longshore get detections'; who changed what: 'longshore audit'",
        "secret secrets configmap configmaps": "objects hold all they need: 'longshore explain'",
        "service services svc ingress": "'longshore describe node NAME' tells where a box answers",
        "replicaset rs daemonset ds statefulset sts": "'longshore get deployments'",
        "job jobs training trainings": "'longshore get runs'",
        "context contexts": "'longshore context list'",
        "apitoken apitokens": "'longshore apitoken list'",
        "box boxes device devices agent agents": "'longshore get nodes'",
        "stream streams video": "'longshore get cameras'",
        "user users account": "'longshore get people'",
    }
)
_OPTIONS = _of(
    {
        "-A --all-namespaces -n --namespace": _NO_NAMESPACES,
        "--kubeconfig": "Use --context, or --url and --token.",
        "--dry-run": "'longshore explain KIND' says what is taken; what is refused changes nothing.",
        "--replicas": f"There are none: {_EVERYWHERE}.",
        "--force": "Nothing has to be forced: what is refused says what is in the way.",
        "--version": "'longshore version' tells it.",
    }
)


def command(word: str) -> str:
    """What to run instead of the command `word`, or ""."""
    return _COMMANDS.get(word.lower(), "")


def kind(word: str) -> str:
    """What to ask for instead of the kind `word`, or ""."""
    return _KINDS.get(word.lower(), "")


def option(name: str, command_path: str) -> str:
    """A sentence for an option that this command does not have, or "". `-n` is a count of lines to some."""
    return "" if name == "-n" and command_path.split()[-1:] == ["logs"] else _OPTIONS.get(name, "")
