"""The restricted Pod Security Standard as a function of one Pod spec.

As in kubernetes.io/docs/concepts/security/pod-security-standards, Linux only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Spec = dict[str, Any]
VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"
}  # fmt: skip
SECCOMP = {"RuntimeDefault", "Localhost"}


def breaches(pod: Spec) -> list[str]:
    """Each rule that `pod` breaks, by the name of the field."""
    return [*_of_pod(pod), *(breach for container in containers(pod) for breach in _of_container(container, pod))]


def containers(pod: Spec) -> list[Spec]:
    return [*pod.get("initContainers", []), *pod["containers"], *pod.get("ephemeralContainers", [])]


def _of_pod(pod: Spec) -> Iterator[str]:
    yield from (flag for flag in ("hostNetwork", "hostPID", "hostIPC") if pod.get(flag))
    if pod.get("securityContext", {}).get("sysctls"):
        yield "sysctls"
    for volume in pod.get("volumes", []):
        if not VOLUMES & set(volume):
            yield f"volumes[{volume['name']}]"


def _of_container(container: Spec, pod: Spec) -> Iterator[str]:
    own, of_pod = container.get("securityContext", {}), pod.get("securityContext", {})
    both = of_pod | own
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if both.get("runAsNonRoot") is not True:
        yield "runAsNonRoot"
    if both.get("runAsUser") == 0:
        yield "runAsUser"
    if both.get("seccompProfile", {}).get("type") not in SECCOMP:
        yield "seccompProfile"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort"
    yield from _capabilities(own.get("capabilities", {}))


def _capabilities(capabilities: Spec) -> Iterator[str]:
    if "ALL" not in capabilities.get("drop", []):
        yield "capabilities.drop"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "capabilities.add"
